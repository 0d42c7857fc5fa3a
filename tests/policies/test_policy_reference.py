"""What licences and generators allow, held to outside lists."""

import csv
import itertools
from pathlib import Path

import pytest

from policies.reference import (
    TABLES,
    USES,
    generator_use,
    licence_duties,
    licence_use,
    sources,
    strictest,
)
from policies.rules import unchanged


@pytest.mark.parametrize(
    ("claim", "use"),
    [
        ("CC0-1.0", "permitted"), ("LicenseRef-PDM", "permitted"), ("CC-PDM-1.0", "permitted"),
        ("CDLA-Permissive-2.0", "permitted"), ("O-UDA-1.0", "permitted"),
        ("Unlicense", "permitted"),
        ("CC-BY-4.0", "duties"), ("CC-BY-3.0-AT", "duties"), ("CC-BY-2.1-JP", "duties"),
        ("Apache-2.0", "duties"), ("MIT", "duties"), ("BSD-3-Clause", "duties"), ("ISC", "duties"),
        ("OFL-1.1", "duties"), ("Unicode-3.0", "duties"),
        ("CC-BY-SA-4.0", "disputed"), ("CC-BY-SA-2.1-JP", "disputed"), ("CC-BY-ND-4.0", "disputed"),
        ("GPL-3.0-or-later", "disputed"), ("AGPL-3.0-only", "disputed"), ("ODbL-1.0", "disputed"),
        ("LicenseRef-all-rights-reserved", "disputed"), ("LicenseRef-Public-Domain", "disputed"),
        ("CC-BY-NC-4.0", "forbidden"), ("CC-BY-NC-SA-4.0", "forbidden"),
        ("CC-BY-NC-ND-3.0-DE", "forbidden"), ("cc-by-nc-sa-2.0-uk", "forbidden"),
        ("LicenseRef-CC-BY-NC-3.0-CZ", "forbidden"), ("LicenseRef-Pexels", "forbidden"),
        ("LicenseRef-scancode-unsplash", "forbidden"), ("LicenseRef-Pixabay-content", "forbidden"),
        ("LicenseRef-Shutterstock", "forbidden"), ("LicenseRef-flux-1-dev", "forbidden"),
        ("LicenseRef-OpenAI-Terms", "forbidden"), ("LicenseRef-Research-Only", "forbidden"),
        ("LicenseRef-CC-BY-2.5-unknown-port", "duties"), ("LicenseRef-CC-NC-1.0-FI", "forbidden"),
        ("LicenseRef-CC-BY-NC-2.5-unknown-port", "forbidden"),
        ("LicenseRef-CC-SA-1.0-NL", "disputed"), ("LicenseRef-CC-ND-1.0", "disputed"),
        ("NOASSERTION", "unknown"), ("LicenseRef-ours", "unknown"), ("", "unknown"),
        (None, "unknown"), ("CC-BY-4.0-modified", "unknown"), ("LicenseRef-MIT", "unknown"),
        ("LicenseRef-Gemma", "disputed"), ("LicenseRef-Gemma-Terms-of-Use", "disputed"),
        ("LicenseRef-Llama-2-Community", "forbidden"), ("LicenseRef-Llama-3", "forbidden"),
        ("LicenseRef-Llama-3-Community", "forbidden"), ("LicenseRef-Llama3-license", "forbidden"),
        ("LicenseRef-Llama-3.1-Community", "disputed"), ("LicenseRef-llama3.3", "disputed"),
        ("LicenseRef-DINOv3", "disputed"), ("LicenseRef-CreativeML-OpenRAIL-M", "disputed"),
        ("MIT OR Apache-2.0", "duties"), ("(MIT AND CC-BY-NC-4.0)", "forbidden"),
        ("MIT AND LicenseRef-ours", "unknown"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "disputed"),
    ],
)  # fmt: skip
def test_a_licence_claim_has_one_use(claim: str | None, use: str) -> None:
    assert licence_use(claim) == use


@pytest.mark.parametrize(
    ("claim", "duties"),
    [
        ("CC0-1.0", ""), ("CC-BY-4.0", "attribution"), ("CC-BY-SA-4.0", "attribution share-alike"),
        ("LicenseRef-CC-BY-NC-SA-3.0-CZ", "attribution share-alike"), ("CC-SA-1.0", "share-alike"),
        ("LicenseRef-CC-BY-2.5-unknown-port", "attribution"),
        ("MIT", "notice"), ("ODbL-1.0", "notice share-alike"), ("CC-BY-ND-2.0", "attribution"),
        ("MIT AND CC-BY-SA-3.0", "attribution notice share-alike"),
        ("LicenseRef-All-Rights-Reserved", ""), ("LicenseRef-ours", "unknown"),
        ("MIT AND LicenseRef-ours", "notice unknown"), ("", "unknown"), (None, "unknown"),
    ],
)  # fmt: skip
def test_a_licence_claim_has_its_duties(claim: str | None, duties: str) -> None:
    assert licence_duties(claim) == set(duties.split())


@pytest.mark.parametrize(
    ("generator", "use"),
    [
        ("FLUX.1-dev", "forbidden"), ("black-forest-labs/FLUX.1-dev", "forbidden"),
        ("flux.1-kontext-dev", "forbidden"),
        ("stabilityai/stable-diffusion-3.5-large", "forbidden"),
        ("SD3 Medium", "forbidden"), ("Midjourney v6", "forbidden"), ("niji-5", "forbidden"),
        ("DALL·E 3", "forbidden"), ("dall-e-3", "forbidden"), ("gpt-image-1", "forbidden"),
        ("flux.1-schnell", "permitted"), ("black-forest-labs/FLUX.1-schnell", "permitted"),
        ("FLUX.2 [klein] 4B", "permitted"), ("FLUX.2-klein-9B", "disputed"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "permitted"), ("SDXL", "permitted"),
        ("runwayml/stable-diffusion-v1-5", "permitted"), ("Stable Diffusion 2.1", "permitted"),
        ("sdxl-turbo", "disputed"), ("imagen-4", "disputed"),
        ("gemini-2.5-flash-image", "disputed"),
        ("flux", "unknown"), ("flux.1-schnell-midjourney-mix", "forbidden"),
        ("flux.1-schnell and something", "unknown"), ("a model of ours", "unknown"),
        ("imagenet-diffusion", "unknown"), ("हमारा", "unknown"),
        ("flux.1-schnell + gpt-4o", "forbidden"), ("flux.1-schnell + sdxl", "permitted"),
        ("GPT-4V", "forbidden"), ("gpt4v", "forbidden"), ("minigpt4", "unknown"),
        ("microsoft/Florence-2-large", "permitted"), ("Qwen2.5-VL-7B-Instruct", "permitted"),
        ("Qwen2.5-VL-3B-Instruct", "unknown"), ("claude-3-opus", "disputed"),
        (None, "none"), ("", "none"), ("  ", "none"),
    ],
)  # fmt: skip
def test_the_terms_of_a_generator_have_one_use(generator: str | None, use: str) -> None:
    assert generator_use(generator) == use


def test_unknown_is_stricter_than_disputed_and_one_known_claim_cures_nothing() -> None:
    assert strictest(["disputed", "unknown"]) == "unknown"
    assert strictest(["permitted", "unknown", "forbidden"]) == "forbidden"
    assert strictest([]) == "unknown"


def test_every_row_has_a_known_use_a_source_and_a_date() -> None:
    for source in sources():
        assert unchanged(source.used)
        rows = list(csv.DictReader(source.data.decode().splitlines()))
        assert all(row["source"] and row["confidence"] in {"H", "M", "L"} for row in rows)
        assert max(row["reviewed_on"] for row in rows) == source.version
        assert {row.get("use", "permitted") for row in rows} <= set(USES) - {"unknown"}
    assert [source.id for source in sources()] == [f"reference/{table}" for table in TABLES]


def test_every_licence_says_its_duties_and_only_permitted_ones_are_without() -> None:
    rows = list(csv.DictReader(sources()[0].data.decode().splitlines()))
    known = {"attribution", "notice", "share-alike", "none"}
    assert all(set(row["duties"].split()) <= known and row["duties"] for row in rows)
    assert {row["duties"] for row in rows if row["use"] == "permitted"} == {"none"}
    assert not [row for row in rows if row["use"] == "duties" and row["duties"] == "none"]


def test_what_permits_spells_the_whole_name() -> None:
    for source in itertools.islice(sources(), 2):
        rows = csv.DictReader(source.data.decode().splitlines())
        assert not [r for r in rows if r["use"] in {"permitted", "duties"} and "*" in r["pattern"]]


@pytest.mark.shared
def test_every_creative_commons_licence_is_read_as_its_own_deed_says(shared: Path) -> None:
    with (shared / "licences" / "cc_licenses.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["spdx_id"].startswith("CC")]
    assert len(rows) > 40
    for row in rows:
        assert licence_use(row["spdx_id"]) == _by_deed(row), row["uri"]


@pytest.mark.shared
def test_duties_are_those_that_the_deed_requires(shared: Path) -> None:
    with (shared / "licences" / "cc_licenses.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["spdx_id"].startswith("CC")]
    words = {"Attribution": "attribution", "ShareAlike": "share-alike"}
    for row in rows:
        required = {words[word] for word in row["requires"].split() if word in words}
        assert licence_duties(row["spdx_id"]) == required, row["uri"]


def _by_deed(row: dict[str, str]) -> str:
    if "CommercialUse" in row["prohibits"]:
        return "forbidden"
    if "ShareAlike" in row["requires"] or "DerivativeWorks" not in row["permits"]:
        return "disputed"
    return "duties" if "Attribution" in row["requires"] else "permitted"
