"""Weights that teach: the gate weighs their licence, a run's provenance and card name them."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from app import workflow
from app.clearing import clear, waiting
from app.cli import cli
from app.redteam.ground import Grounds, elsewhere
from app.redteam.scratch import Scratch, terms, tiny
from app.weights import answers, described, weights_of
from governance.canon import canonical, file_sha256, parse_json
from governance.cards.bom import bom
from governance.cards.evidence import Evidence
from governance.cards.fields import fields
from governance.clearance import read_clearance
from governance.errors import Refused, Tampered
from governance.statements import payload_of
from governance.verify import check_run
from governance.weights import teachers
from governance.workspace import CONFIG_FILE
from policies.rules import load_pack
from training.config import RunConfig, WeightsConfig
from training.taught.weights import folder_digest

ENCODER, CLIP = WeightsConfig(name="t5", sha256="a" * 64), WeightsConfig(name="c", sha256="b" * 64)
TODAY = date(2026, 11, 23)
RUN_FILES = ("receipts.jsonl", "metrics.jsonl", "samples.png", "pipeline/model_index.json")


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory):
    """An audited workspace that the tests of this file copy."""
    root = tmp_path_factory.mktemp("weights")
    with elsewhere(root):
        yield Grounds(root)


@pytest.fixture
def scratch(grounds: Grounds) -> Scratch:
    return grounds.copy("audited")


def taught(encoder: WeightsConfig = ENCODER, clip: WeightsConfig = CLIP) -> RunConfig:
    config = tiny()
    return replace(
        config,
        text=replace(config.text, encoder=encoder),
        evaluation=replace(config.evaluation, clip=clip),
    )


def declare(scratch: Scratch, licence: str, weights: WeightsConfig = ENCODER) -> None:
    path = scratch.workspace.folder / CONFIG_FILE
    said = f'name = "{weights.name}"\nsha256 = "{weights.sha256}"\nlicence = "{licence}"'
    source = 'source = "https://example.org/t5"\ntrained_on = "web pages"'
    path.write_text(f"{path.read_text()}\n[[weights]]\n{said}\n{source}\n")


def test_the_gate_keeps_what_was_declared_of_each_and_allows_those_that_teach(scratch):
    declare(scratch, "Apache-2.0")
    envelope = scratch.ask(taught())
    assert read_clearance(payload_of(envelope)).weights == (ENCODER.sha256,)
    (act,) = scratch.workspace.ledger.entries("cleared")
    facts = parse_json(scratch.workspace.load(str(act.body["facts"]), "facts"))
    assert [(w["role"], w["licence"], w["use"], w["teaches"]) for w in facts["weights"]] == [
        ("evaluation.clip", "", "unknown", False),
        ("text.encoder", "Apache-2.0", "duties", True),
    ]


@pytest.mark.parametrize(
    ("licence", "rule"),
    [
        ("CC-BY-NC-4.0", "COM-WEIGHTS-FORBIDDEN"),
        ("LicenseRef-Llama-3-Community", "COM-WEIGHTS-FORBIDDEN"),
        ("LicenseRef-ours", "COM-WEIGHTS-UNKNOWN"),
        ("LicenseRef-Gemma", "COM-WEIGHTS-DISPUTED"),
        ("Apache-2.0 AND LicenseRef-DINOv3", "COM-WEIGHTS-DISPUTED"),
    ],
)
def test_a_licence_that_does_not_allow_it_is_refused_by_role_and_digest(scratch, licence, rule):
    declare(scratch, licence)
    with pytest.raises(Refused, match=rf"{rule}: .*text\.encoder {'a' * 12}") as told:
        scratch.ask(taught())
    assert str(scratch.folder) not in str(told.value)
    assert not scratch.workspace.ledger.entries("cleared")


def test_weights_that_nobody_declared_teach_under_no_policy(scratch):
    with pytest.raises(Refused, match=rf"{'a' * 12} of text\.encoder .*declares no licence"):
        weights_of(scratch.workspace, taught())
    declare(scratch, "MIT", WeightsConfig(name="t5", sha256="c" * 64))  # the name is not enough
    with pytest.raises(Refused, match="declares no licence"):
        weights_of(scratch.workspace, taught())


def test_weights_that_only_judge_need_no_licence_and_are_not_in_the_clearance(scratch):
    config = taught(encoder=WeightsConfig(name="", sha256=""))
    assert read_clearance(payload_of(scratch.ask(config))).weights == ()


def test_the_gate_is_shown_the_weights_its_clearance_would_allow_and_no_others(scratch):
    declare(scratch, "MIT")
    used, asked = weights_of(scratch.workspace, taught()), terms(taught())
    for shown, wanted in (((), asked), (used, replace(asked, weights=()))):
        with pytest.raises(Refused, match=f"other weights than the terms name .{'a' * 12}"):
            clear(scratch.workspace, scratch.decision, wanted, preset="micro", weights=shown)


def test_a_clearance_that_waits_is_used_for_the_same_weights_only(scratch):
    declare(scratch, "MIT")
    envelope, asked = scratch.ask(taught()), terms(taught())
    assert waiting(scratch.workspace, scratch.decision, asked) == envelope
    fewer = replace(asked, weights=())
    assert waiting(scratch.workspace, scratch.decision, fewer) is None


def _ended(scratch: Scratch, envelope: bytes) -> Path:
    """Leave what a finished run leaves, and have it signed for."""
    folder = scratch.workspace.runs / "run-9"
    written = {"result.json": {"preset": "micro", "run": "run-9"}, "config.json": {}}
    for name in RUN_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{}")
    for name, value in written.items():
        (folder / name).write_bytes(canonical(value))
    (folder / "clearance.json").write_bytes(envelope)
    workflow.sign_run(scratch.workspace, folder)
    return folder


def _checked(scratch: Scratch, folder: Path) -> Callable[[], None]:
    result = file_sha256(folder / "result.json")
    act = scratch.workspace.ledger.size()
    return lambda: check_run(folder.joinpath, scratch.trust, result, cleared_at=act, ended_at=act)


def test_provenance_card_and_bill_of_materials_name_what_taught_the_model(scratch):
    declare(scratch, "Apache-2.0")
    folder = _ended(scratch, scratch.ask(taught()))
    _checked(scratch, folder)()
    provenance = (folder / "provenance.json").read_bytes()
    (encoder,) = teachers(provenance)
    assert (encoder.role, encoder.sha256) == ("text.encoder", "a" * 64)
    assert encoder.said == (
        f"t5, SHA-256 {'a' * 64}; licence declared: Apache-2.0 (duties); https://example.org/t5; "
        "trained on: web pages"
    )


def test_a_provenance_that_keeps_silent_about_the_weights_is_not_verified(scratch):
    declare(scratch, "Apache-2.0")
    envelope = scratch.ask(taught())
    folder = _ended(scratch, scratch.ask())  # of another clearance, which names no weights
    _checked(scratch, folder)()
    (folder / "clearance.json").write_bytes(envelope)
    with pytest.raises(Tampered, match="not those its clearance names"):
        _checked(scratch, folder)()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of weights with one folder in it."""
    folder = tmp_path / "weights" / "t5"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.setenv("PRAMANA_WEIGHTS", str(folder.parent))
    return folder


def _said(scratch: Scratch, *words: str) -> str:
    told = CliRunner().invoke(
        cli, ["--workspace", str(scratch.workspace.folder), "weights", *words]
    )
    assert told.exit_code == 0, told.output
    return told.output


def test_the_verb_prints_what_has_to_be_pinned_and_what_the_policies_say(scratch, place):
    sha256 = folder_digest(place)
    said = _said(scratch)
    assert f'sha256 = "{sha256}"' in said
    assert "not declared (unknown)" in said
    assert "✕ COM-WEIGHTS-UNKNOWN of commercial" in said
    declare(scratch, "MIT", WeightsConfig(name="t5", sha256=sha256))
    said = _said(scratch)
    assert "MIT (duties)" in said
    assert "✓ 3 rules" in said
    (row,) = json.loads(_said(scratch, "--json"))["weights"]
    assert (row["name"], row["sha256"], row["licence"]) == ("t5", sha256, "MIT")
    assert row["rules"]["commercial/COM-WEIGHTS-DISPUTED"] == "satisfied"


def test_the_verb_says_when_nobody_told_where_weights_lie(scratch, monkeypatch):
    monkeypatch.delenv("PRAMANA_WEIGHTS")
    told = CliRunner().invoke(cli, ["--workspace", str(scratch.workspace.folder), "weights"])
    assert "PRAMANA_WEIGHTS names no folder" in str(told.exception)


def test_a_pack_without_rules_about_weights_has_nothing_to_say():
    used = described(None, role="teacher", name="t", sha256="a" * 64, teaches=True)
    assert answers(used, [load_pack("dpdp")], TODAY) == []
    assert len(answers(used, [load_pack("commercial")], TODAY)) == 3


def test_the_card_and_the_bill_of_materials_list_them_or_say_none(scratch):
    scratch.train(run="run-1")
    scratch.export(scratch.bundle)
    evidence = Evidence.read(scratch.bundle)

    def rows(of: Evidence) -> list[tuple[str, str | None]]:
        section = "Weights that taught this model"
        return [(field.name, field.value) for field in fields(of) if field.section == section]

    assert rows(evidence) == [("Weights of others", "none")]
    assert len(bom(evidence)["components"]) == 2
    declare(scratch, "Apache-2.0")
    other = _ended(scratch, scratch.ask(taught()))
    files = {**evidence.files, "provenance.json": (other / "provenance.json").read_bytes()}
    ((role, value),) = rows(Evidence(files))
    assert role == "text.encoder"
    assert value is not None
    assert value.startswith(f"t5, SHA-256 {'a' * 64}; licence declared: Apache-2.0")
    found = bom(Evidence(files))
    (weights,) = found["components"][2:]
    assert weights["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert weights["licenses"] == [{"expression": "Apache-2.0", "acknowledgement": "declared"}]
    assert weights["bom-ref"] in found["dependencies"][0]["dependsOn"]
