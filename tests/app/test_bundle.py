"""Bundles: what each check of one notices, and which keys it takes."""

import json
import shutil
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from governance.canon import canonical, file_sha256
from governance.cards.bundle import SUMS, listing, make_bundle
from governance.cards.model_signature import SIGNATURE_FILE, sign_model
from governance.cards.verification import verify_bundle
from governance.errors import EvidenceMissing, PramanaError, Tampered, UsageError
from governance.signers.keys import Keyring, Trust
from governance.statements import payload_of, sign
from governance.trail.note import Checkpoint
from governance.trail.proofs import ProofFile, write_proof
from governance.workspace import Workspace

RUN = "run-2026-11-23-micro"
Insider = Callable[[Path], None]
Attack = Callable[[Path], object]


def _failed(bundle: Path, trust: Trust | None = None) -> set[str]:
    """Return the names of the checks that fail under the keys that lie beside a bundle."""
    trust = trust or Trust.from_bytes((bundle.parent / "keys" / "trust.json").read_bytes())
    return {c.what.partition(":")[0] for c in verify_bundle(bundle, trust) if c.status}


def test_a_bundle_holds_under_its_own_keys_and_under_pinned_ones(bundle: Path) -> None:
    assert _failed(bundle) == set()
    assert not [check for check in verify_bundle(bundle) if check.status]


def _edit(name: str, old: str, new: str) -> Attack:
    def act(bundle: Path) -> None:
        data = (bundle / name).read_bytes()
        assert old.encode() in data
        (bundle / name).write_bytes(data.replace(old.encode(), new.encode(), 1))

    return act


def _flip_weights(bundle: Path) -> None:
    path = bundle / "transformer" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def _other_findings(bundle: Path) -> None:
    path = bundle / "evidence" / "findings.json"
    findings = json.loads(path.read_bytes())
    findings[0]["value"] = 0.12345
    path.write_bytes(canonical(findings))


def _sign_by(role: str, name: str) -> Attack:
    """Sign a statement anew by the key of another role."""

    def act(bundle: Path) -> None:
        signer = Keyring(bundle.parent / "keys").signer(role)
        (bundle / name).write_bytes(sign(payload_of((bundle / name).read_bytes()), signer))

    return act


def _say(name: str, old: str, new: str, role: str) -> Attack:
    """Let the right key sign something else."""

    def act(bundle: Path) -> None:
        payload = payload_of((bundle / name).read_bytes())
        assert old.encode() in payload
        signer = Keyring(bundle.parent / "keys").signer(role)
        (bundle / name).write_bytes(sign(payload.replace(old.encode(), new.encode(), 1), signer))

    return act


def _swap(name: str, other: str) -> Attack:
    def act(bundle: Path) -> None:
        shutil.copyfile(bundle / other, bundle / name)

    return act


def _stranger_key(bundle: Path) -> None:
    (path,) = (bundle / "keys").glob("gate-*.pub")
    stranger = Keyring(bundle.parent / "stranger").signer("gate").public_key
    path.write_text(stranger.keyval["public"])


def _model_without_weights(bundle: Path) -> None:
    signer = Keyring(bundle.parent / "keys").signer("card")
    ignored = {*(p.name for p in bundle.iterdir()), SIGNATURE_FILE} - {"model_index.json"}
    (bundle / SIGNATURE_FILE).write_bytes(sign_model(bundle, signer, name=RUN, ignored=ignored))


def _another_clearance(bundle: Path) -> None:
    path = bundle / "evidence" / "result.json"
    old = file_sha256(path)
    _edit("evidence/result.json", '"clearance":"', '"clearance":"0')(bundle)
    _say("evidence/provenance.json", old, file_sha256(path), "trainer")(bundle)


DECISION, AUDITS = "evidence/decision.sigstore.json", "evidence/audits.sigstore.json"
PROOF = "ledger/decided.tlog-proof"
BROKEN_SUBJECT = ('"subject":[{"digest":{"sha256":"0', "card")
ATTACKS: dict[str, tuple[Attack, set[str]]] = {  # what an insider does; which checks notice
    "weights": (_flip_weights, {"run", "model"}),
    "a model signature that leaves the weights out": (_model_without_weights, {"model"}),
    "a model signature by another role": (_sign_by("gate", SIGNATURE_FILE), {"model"}),
    "card": (_edit("README.md", "proof", "prof!"), {"card"}),
    "bill of materials": (_edit("bom.cdx.json", "taken out", "left in"), {"bom"}),
    "a bill of materials by another role": (_sign_by("gate", "bom.sigstore.json"), {"bom"}),
    "another bill of materials, signed": (
        _say("bom.sigstore.json", "taken out", "left in", "card"), {"bom"},
    ),
    "a bill of materials of another model": (
        _say("bom.sigstore.json", '"subject":[{"digest":{"sha256":"', *BROKEN_SUBJECT), {"bom"},
    ),
    "public keys": (_stranger_key, {"public keys"}),
    "findings": (_other_findings, {"audits", "bom", "card"}),
    "audits by another role": (_sign_by("gate", AUDITS), {"audits", "card"}),
    "audits of another snapshot": (
        _say(AUDITS, '"name":"snapshot"', '"name":"another"', "auditor"), {"audits", "card"},
    ),
    "audits with other findings": (
        _say(AUDITS, '"findings":"', '"findings":"0', "auditor"), {"audits", "card"},
    ),
    "decision by another role": (_sign_by("auditor", DECISION), {"decision", "card"}),
    "another decision, signed": (
        _say(DECISION, '"name":"cleared-samples"', '"name":"other"', "gate"), {"decision", "card"},
    ),
    "decision": (
        _edit("evidence/decision.json", '"violations":54', '"violations":53'),
        {"decision", "ledger", "bom", "card"},
    ),
    "policy": (
        _edit("evidence/policies/commercial", "commercial", "commerciel"),
        {"decision", "bom", "card"},
    ),
    "clearance by another role": (
        _sign_by("card", "evidence/clearance.json"), {"run", "bom", "card"},
    ),
    "provenance by another role": (
        _sign_by("gate", "evidence/provenance.json"), {"run", "bom", "card"},
    ),
    "result": (
        _edit("evidence/result.json", '"steps":640', '"steps":940'),
        {"run", "ledger", "bom", "card"},
    ),
    "a result under another clearance": (_another_clearance, {"run", "ledger", "bom", "card"}),
    "metrics": (
        _edit("evidence/metrics.jsonl", '"step":1}', '"step":0}'), {"run", "card"},
    ),
    "proof": (_edit("ledger/decided.tlog-proof", "index 4", "index 5"), {"ledger"}),
    "leaf": (_edit("ledger/cleared.leaf", '"at":"2026', '"at":"2025'), {"ledger"}),
    "another act's leaf": (_swap("ledger/cleared.leaf", "ledger/decided.leaf"), {"ledger"}),
    "checkpoint": (
        _edit("ledger/checkpoint", "pramana.local", "pramama.local"),
        {"ledger", "list", "waivers", "model", "bom", "card"},
    ),
    "something set aside without a waiver": (
        _edit("evidence/decision.json", '"waived":0', '"waived":3'),
        {"decision", "waivers", "ledger", "bom", "card"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("attack", "noticed"), ATTACKS.values(), ids=ATTACKS.keys())
def test_each_check_notices_what_it_is_for(
    bundle: Path, insider: Insider, attack: Attack, noticed: set[str]
) -> None:
    attack(bundle)
    assert {"files"} <= _failed(bundle)
    insider(bundle)
    assert _failed(bundle) == noticed


@pytest.mark.parametrize(
    "attack",
    [
        lambda bundle: (bundle / "extra.txt").write_text("added"),
        lambda bundle: (bundle / "samples.png").unlink(),
        lambda bundle: (bundle / "link").symlink_to("README.md"),
        _edit("README.md", "proof", "prof!"),
    ],
    ids=["a file added", "a file removed", "a link", "a file edited"],
)
def test_a_bundle_with_other_files_does_not_verify(bundle: Path, attack: Attack) -> None:
    attack(bundle)
    assert "files" in _failed(bundle)


@pytest.mark.parametrize(
    ("how", "noticed"),
    [
        ({"origin": "pramana.local/other"}, {"ledger", "list", "waivers", "model", "bom", "card"}),
        ({"number": 7}, {"ledger", "card"}),
    ],
    ids=["of another name", "misnumbered"],
)
def test_another_log_under_the_same_key_is_noticed(
    bundle: Path, insider: Insider, forge_log: Callable[..., None], how: dict[str, object],
    noticed: set[str],
) -> None:  # fmt: skip
    forge_log(bundle, **how)
    insider(bundle)
    assert _failed(bundle) == noticed


def test_a_list_that_is_not_the_one_signed_is_noticed(bundle: Path) -> None:
    (bundle / "verify.sh").write_text("exit 0\n")
    (bundle / SUMS).write_bytes(listing(bundle))
    assert _failed(bundle) == {"list"}


def test_a_list_that_the_card_key_did_not_sign_is_noticed(bundle: Path, insider: Insider) -> None:
    (bundle / "samples.png").write_bytes(b"another")
    insider(bundle)
    _sign_by("gate", "card.json")(bundle)
    assert _failed(bundle) == {"list", "run"}


def test_the_decision_must_be_the_one_that_the_clearance_names(
    bundle: Path, insider: Insider, exported: tuple[Workspace, Path]
) -> None:
    """The workspace made another decision before, signed and logged as well: it said block."""
    made, note = exported[0], ProofFile.parse((bundle / PROOF).read_bytes()).note
    blocked, told = made.ledger.entries("decided")
    covered = Checkpoint.parse(note.partition("\n\n")[0] + "\n").size
    for name, field in ((DECISION, "decision_statement"), (AUDITS, "audit_statement")):
        (bundle / name).write_bytes(made.load(str(blocked.body[field]), name))
    decision = made.decision(str(blocked.body["decision"]))
    assert decision.cleared_root == made.decision(str(told.body["decision"])).cleared_root
    (bundle / "evidence" / "decision.json").write_bytes(canonical(decision.to_json()))
    (bundle / PROOF).write_text(write_proof(made.ledger, blocked.number, size=covered))
    (bundle / PROOF).with_suffix(".leaf").write_bytes(made.ledger.leaf(blocked.number))
    insider(bundle)
    assert _failed(bundle) == {"decision", "bom", "card"}


def test_acts_under_different_checkpoints_are_noticed(
    bundle: Path, insider: Insider, exported: tuple[Workspace, Path]
) -> None:
    ledger = exported[0].ledger
    (entry,) = ledger.entries("cleared")
    later = write_proof(ledger, entry.number)  # holds, and is of the checkpoint after the export
    (bundle / "ledger" / "cleared.tlog-proof").write_text(later)
    insider(bundle)
    assert _failed(bundle) == {"ledger"}


def test_the_same_evidence_gives_the_same_card_and_bill(
    exported: tuple[Workspace, Path], tmp_path: Path
) -> None:
    made = exported[0]
    again = make_bundle(made, made.runs / RUN, tmp_path / "again")
    for name in ("README.md", "bom.cdx.json", "ledger/checkpoint", "evidence/exporter.json"):
        assert (again / name).read_bytes() == (exported[1] / name).read_bytes()


def test_what_another_version_rendered_is_not_called_tampered(
    bundle: Path, insider: Insider
) -> None:
    (bundle / "evidence" / "exporter.json").write_bytes(canonical({"version": "9.9", "code": "0"}))
    insider(bundle)
    found = {c.what.partition(":")[0]: c for c in verify_bundle(bundle) if c.status}
    assert {name: check.status for name, check in found.items()} == {"card": EvidenceMissing.status}
    assert "rendered by Pramana 9.9" in found["card"].detail


def test_a_bundle_that_would_not_verify_is_not_written(copy: Workspace, tmp_path: Path) -> None:
    path = copy.runs / RUN / "pipeline" / "transformer" / "config.json"
    path.write_text("{}\n")
    with pytest.raises(Tampered, match="would not verify"):
        make_bundle(copy, copy.runs / RUN, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not copy.ledger.entries("card.exported")


def test_the_hub_reads_the_card_and_which_checkpoint_it_stands_on(bundle: Path) -> None:
    data = ModelCard((bundle / "README.md").read_text()).data.to_dict()
    checkpoint = (bundle / "ledger" / "checkpoint").read_text().split("\n")
    assert (data["library_name"], data["pramana"]["verdict"]) == ("diffusers", "pass")
    assert [data["pramana"][n] for n in ("ledger", "ledger_size", "ledger_root")] == [
        checkpoint[0],
        int(checkpoint[1]),
        b64decode(checkpoint[2]).hex(),
    ]


def test_a_bundle_is_never_written_over_something(copy: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError):
        make_bundle(copy, copy.runs / RUN, tmp_path)


def test_no_name_of_a_check_is_used_twice(bundle: Path) -> None:
    names = [check.what.partition(":")[0] for check in verify_bundle(bundle)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "name", ["trust.json", "ledger/checkpoint", "evidence/decision.json", "ledger/decided.leaf"]
)
def test_whatever_is_missing_is_a_failed_check_and_no_crash(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert any(check.status for check in verify_bundle(bundle))


@pytest.mark.slow
def test_garbage_in_any_file_is_a_failed_check_and_no_crash(bundle: Path) -> None:
    paths = [p for p in bundle.rglob("*") if p.is_file() and p.name != "metrics.jsonl"]
    for path in paths:
        kept = path.read_bytes()
        for garbage in (b"", b"{ }", b"[1]", b"\xff\x00\n\n"):
            path.write_bytes(garbage)
            try:
                assert any(check.status for check in verify_bundle(bundle)), path
            except PramanaError as fault:
                pytest.fail(f"{path.name}: {fault}")
        path.write_bytes(kept)
