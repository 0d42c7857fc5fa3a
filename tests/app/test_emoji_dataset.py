"""12,184 real pictures under five licences, whose answers are known, through the command line."""

import csv
import json
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from governance.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.xdist_group("emoji")]
PRAMANA = [sys.executable, "-P", "-m", "app"]
NO_OFL = """
schema: pramana.policy/v1
id: no-ofl
version: '1'
regime: {name: a test, jurisdiction: none}
rules:
  - id: NO-OFL
    cite: {instrument: a test}
    status: voluntary
    severity: low
    on: sample
    evidence: {audit: licence, columns: [licence_claims]}
    require: NOT list_contains(licence_claims, 'OFL-1.1')
    remedy: exclude
    waive: never
    why: a test
"""


@dataclass(frozen=True, slots=True)
class Audited:
    """What the command answered, where the evidence lies, and where the answers stand."""

    place: Path
    data: Path
    answer: dict

    def findings(self, audit: str) -> dict[str, dict]:
        return {f["name"]: f for f in self.answer["findings"] if f["audit"] == audit}

    def excluded(self) -> dict[str, set[str]]:
        """Return which rules took a sample out, by its id."""
        folder = Workspace(self.place).decision_folder(self.answer["decision"]["id"])
        rows = pq.read_table(folder / "excluded.parquet").to_pylist()
        found = defaultdict(set)
        for row in rows:
            found[row["id"]].add(row["rule"])
        return found

    def csv(self, name: str) -> list[dict[str, str]]:
        with (self.data / name).open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    data = Path(__file__).parents[3] / "shared" / "data" / "emoji"
    if not data.is_dir():
        pytest.skip("the reference data folder ../shared/data is not beside this checkout")
    place = tmp_path_factory.mktemp("emoji")
    sources = sorted(str(path) for path in data.glob("emoji-*.parquet"))
    answer = _pramana(place, "audit", *sources, "--policy", "commercial", "--json")
    return Audited(place, data, json.loads(answer))


def _pramana(place: Path, *arguments: str) -> str:
    command = [*PRAMANA, "--workspace", str(place), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_picture_is_measured_and_judged(audited: Audited) -> None:
    decision = audited.answer["decision"]
    assert audited.answer["samples"] == 12_184 == decision["cleared"] + decision["excluded"]
    assert decision["verdict"] == "pass"


def test_every_non_commercial_picture_is_excluded_by_a_licence_rule(audited: Audited) -> None:
    excluded = audited.excluded()
    mutant = [name for name, rules in excluded.items() if name.startswith("mutant/")]
    assert len(mutant) == 292
    assert all("COM-LICENCE-FORBIDDEN" in excluded[name] for name in mutant)


def test_share_alike_waits_for_a_person(audited: Audited) -> None:
    waiting = {n for n, rules in audited.excluded().items() if "COM-LICENCE-DISPUTED" in rules}
    assert Counter(name.partition("/")[0] for name in waiting) == {"openmoji": 2_973}


def test_a_conflict_between_claims_is_a_finding_that_quotes_both(audited: Audited) -> None:
    conflict = audited.findings("licence")["licence conflicts"]
    assert Counter(name.partition("/")[0] for name in conflict["ids"]) == {"noto": 2_973}
    assert "Apache-2.0" in conflict["note"]
    assert "OFL-1.1" in conflict["note"]


def test_the_stricter_of_two_claims_decides(audited: Audited, tmp_path: Path) -> None:
    """Both claims of noto allow use with duties; a policy that bars one of them bars noto."""
    pack = tmp_path / "no-ofl.yaml"
    pack.write_text(NO_OFL)
    sources = sorted(str(path) for path in audited.data.glob("emoji-*.parquet"))
    answer = _pramana(audited.place, "audit", *sources, "--policy", str(pack), "--json")
    (rule,) = [r for r in json.loads(answer)["decision"]["rules"] if r["id"] == "NO-OFL"]
    assert rule["violations"] == 2_973


def test_the_known_exact_duplicates_are_found(audited: Audited) -> None:
    folder = next((audited.place / ".pramana" / "measures").rglob("part-*.parquet")).parent
    alike = defaultdict(set)
    for row in pq.read_table(folder, columns=["id", "pixels_sha256"]).to_pylist():
        alike[row["pixels_sha256"]].add(row["id"])
    found = {frozenset(ids) for ids in alike.values() if len(ids) > 1}
    known = defaultdict(set)
    for row in audited.csv("exact_duplicates.csv"):
        known[row["group"]].add(row["id"])
    assert {frozenset(ids) for ids in known.values()} <= found
    bias = audited.findings("bias")
    assert bias["one picture for gender=man | unspecified"]["value"] == 102
    assert bias["one picture for gender=unspecified | woman"]["value"] == 6
    people = {row["id"] for row in audited.csv("exact_duplicates.csv") if "openmoji" in row["id"]}
    shared = bias["samples whose picture stands for another group too"]
    assert len(people & set(shared["ids"])) >= 2 * (102 + 6)


def test_no_skin_tone_is_excluded_as_a_duplicate(audited: Audited) -> None:
    excluded = audited.excluded()
    out = {name for name, rules in excluded.items() if "COM-DUPLICATE" in rules}
    tones = [row for row in audited.csv("hard_negatives.csv") if "skin" in row["kind"]]
    assert tones
    assert not [row for row in tones if {row["id_a"], row["id_b"]} & out]


def test_counts_by_licence_tone_and_gender_equal_the_summary(audited: Audited) -> None:
    known = {
        (row["attribute"], row["value"]): int(row["total"])
        for row in audited.csv("summary.csv")
        if row["attribute"] in {"gender", "skin_tone", "license_spdx"}
    }
    bias, licence = audited.findings("bias"), audited.findings("licence")
    for (attribute, value), total in known.items():
        if attribute == "license_spdx":
            counted = round(licence[f"licence={value} share"]["value"] * 12_184)
        else:
            counted = bias[f"{attribute}={value} samples"]["value"]
        assert counted == total, (attribute, value)


def test_training_on_what_is_cleared_ends_in_time_and_loads_in_stock_diffusers(
    audited: Audited,
) -> None:
    sources = sorted(str(path) for path in audited.data.glob("emoji-*.parquet"))
    _pramana(audited.place, "audit", *sources, "--policy", "commercial")
    _pramana(audited.place, "train", "--preset", "micro", "--minutes", "1")
    run = next((audited.place / ".pramana" / "runs").iterdir())
    result = json.loads((run / "result.json").read_text())
    assert (result["state"], result["margin_s"] >= 0) == ("finished", True)
    code = (
        "import sys; from diffusers import DiffusionPipeline as P\n"
        "p = P.from_pretrained(sys.argv[1], local_files_only=True)\n"
        "print(p('cat face', height=32, width=32, use_resolution_binning=False,"
        " num_inference_steps=4).images[0].size)"
    )
    drawn = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(run / "pipeline")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "(32, 32)" in drawn.stdout, drawn.stderr
