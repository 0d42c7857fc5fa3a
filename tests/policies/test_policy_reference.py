"""What licences and generators allow, and where regions lie, held to outside lists."""

import csv
import itertools
from pathlib import Path

import pytest

from policies.reference import (
    TABLES,
    USES,
    generator_use,
    licence_use,
    region_country,
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
        ("NOASSERTION", "unknown"), ("LicenseRef-ours", "unknown"), ("", "unknown"),
        (None, "unknown"), ("CC-BY-4.0-modified", "unknown"), ("LicenseRef-MIT", "unknown"),
        ("MIT OR Apache-2.0", "duties"), ("(MIT AND CC-BY-NC-4.0)", "forbidden"),
        ("MIT AND LicenseRef-ours", "unknown"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "disputed"),
    ],
)  # fmt: skip
def test_a_licence_claim_has_one_use(claim: str | None, use: str) -> None:
    assert licence_use(claim) == use


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
        (None, "none"), ("", "none"), ("  ", "none"),
    ],
)  # fmt: skip
def test_the_terms_of_a_generator_have_one_use(generator: str | None, use: str) -> None:
    assert generator_use(generator) == use


@pytest.mark.parametrize(
    ("region", "country"),
    [
        ("aws:ap-south-1", "IN"), ("AWS/ap-south-2", "IN"), ("ap-south-1", "IN"),
        ("ap-south-1a", "IN"), ("gcs:asia-south1-b", "IN"), ("gcp asia-south2", "IN"),
        ("azure:centralindia", "IN"), ("oci:ap-mumbai-1", "IN"), ("IN", "IN"), (" in ", "IN"),
        ("India", "IN"), ("country:de", "DE"), ("aws:us-east-1", "US"), ("us-east-1", "US"),
        ("europe-west3", "DE"), ("azure:westeurope", "NL"),
        ("eu-west-1", None), ("aws:eu-west-1", "IE"), ("alibaba:eu-west-1", "GB"),
        ("azure:ap-south-1", None), ("nowhere:ap-south-1", None), ("asia", None), ("EU", None),
        ("XX", None), ("", None), (None, None), ("aws:", None), ("ap-south-9", None),
        ("INDIANA", None), ("on-prem", None), ("IN, US", None),
    ],
)  # fmt: skip
def test_a_region_lies_in_one_country_or_it_is_not_known(
    region: str | None, country: str | None
) -> None:
    assert region_country(region) == country


def test_unknown_is_stricter_than_disputed_and_one_known_claim_cures_nothing() -> None:
    assert strictest(["disputed", "unknown"]) == "unknown"
    assert strictest(["permitted", "unknown", "forbidden"]) == "forbidden"
    assert strictest([]) == "unknown"


def test_every_row_has_a_known_use_a_source_and_a_date() -> None:
    for source in sources():
        assert unchanged(source.used)
        rows = list(csv.DictReader(source.data.decode().splitlines()))
        assert all(row["source"] and row["confidence"] in {"H", "M", "L"} for row in rows)
        assert {row["reviewed_on"] for row in rows} == {source.version}
        assert {row.get("use", "permitted") for row in rows} <= set(USES) - {"unknown"}
    assert [source.id for source in sources()] == [f"reference/{table}" for table in TABLES]


def test_what_permits_spells_the_whole_name() -> None:
    for source in itertools.islice(sources(), 2):
        rows = csv.DictReader(source.data.decode().splitlines())
        assert not [r for r in rows if r["use"] in {"permitted", "duties"} and "*" in r["pattern"]]


@pytest.mark.shared
def test_every_cloud_region_in_india_is_known_and_no_other_is_taken_for_one(shared: Path) -> None:
    with (shared / "geo" / "cloud_regions.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    indian = {r["region"] for r in rows if region_country(f"{r['provider']}:{r['region']}") == "IN"}
    assert indian == {row["region"] for row in rows if row["in_india"] == "1"}
    known = [r for r in rows if region_country(f"{r['provider']}:{r['region']}")]
    assert (
        len(known) == len(rows) - 1
    )  # Azure's brazilus lies in the US by name and in Brazil by map


@pytest.mark.shared
def test_every_creative_commons_licence_is_read_as_its_own_deed_says(shared: Path) -> None:
    with (shared / "licences" / "cc_licenses.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["spdx_id"].startswith("CC")]
    assert len(rows) > 40
    for row in rows:
        assert licence_use(row["spdx_id"]) == _by_deed(row), row["uri"]


def _by_deed(row: dict[str, str]) -> str:
    if "CommercialUse" in row["prohibits"]:
        return "forbidden"
    if "ShareAlike" in row["requires"] or "DerivativeWorks" not in row["permits"]:
        return "disputed"
    return "duties" if "Attribution" in row["requires"] else "permitted"
