"""`verify.sh`: passes on a fresh bundle in each shell, and fails on each kind of corruption."""

import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from governance.canon import canonical, file_sha256
from governance.cards.bundle import listing
from governance.signers.keys import Keyring
from governance.signers.trust import TRUST_FILE, TRUST_TYPE
from governance.statements import PAYLOAD_TYPE, payload_of, sign

Insider = Callable[[Path], None]
Attack = Callable[[Path], object]
SHELLS = {
    name: command
    for name, *command in (
        ("sh", "/bin/sh"), ("dash", "dash"), ("busybox", "busybox", "sh"),
        ("bash", "bash", "--posix"),
    )
    if shutil.which(command[0])
}  # fmt: skip
CHECKED = 16  # lines of a bundle without witness, waiver or withdrawal


def _run(bundle: Path, shell: str = "sh") -> subprocess.CompletedProcess[str]:
    command = [*SHELLS[shell], str(bundle / "verify.sh")]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_fresh_bundle_passes_and_what_was_not_checked_is_said(bundle: Path, shell: str) -> None:
    ended = _run(bundle, shell)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("✓") == CHECKED
    for said in ("whose keys these are", "revoked since", "approvals of a waiver", "is true"):
        assert said in ended.stdout.partition("Not checked here:")[2]


def test_a_copy_from_elsewhere_checks_the_bundle_it_is_told(bundle: Path, tmp_path: Path) -> None:
    mine = shutil.move(bundle / "verify.sh", tmp_path / "mine.sh")
    shutil.copyfile(mine, bundle / "verify.sh")
    command = ["/bin/sh", str(mine), str(bundle)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing(bundle: Path) -> None:
    command = ["shellcheck", "--shell=sh", str(bundle / "verify.sh")]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""


def _edit(name: str, old: str, new: str) -> Attack:
    def act(bundle: Path) -> None:
        (path,) = bundle.glob(name)
        data = path.read_bytes()
        assert old.encode() in data
        path.write_bytes(data.replace(old.encode(), new.encode(), 1))

    return act


FILES = {  # class of file: one of them
    "model": "transformer/diffusion_pytorch_model.safetensors",
    "picture": "samples.png",
    "card": "README.md",
    "bill of materials": "bom.cdx.json",
    "statement": "evidence/clearance.json",
    "evidence": "evidence/metrics.jsonl",
    "policy": "evidence/policies/commercial",
    "trust": "trust.json",
    "public key": "keys/gate-*.pub",
    "vkey": "keys/log-*.vkey",
    "checkpoint": "ledger/checkpoint",
    "proof": "ledger/decided.tlog-proof",
    "leaf": "ledger/decided.leaf",
    "model signature": "model.sig",
    "list": "SHA256SUMS",
    "signature of the list": "card.json",
}


@pytest.mark.parametrize("name", FILES.values(), ids=FILES.keys())
def test_one_byte_of_any_file_is_noticed(bundle: Path, name: str) -> None:
    (path,) = bundle.glob(name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert _run(bundle).returncode == 4


@pytest.mark.parametrize(
    "attack",
    [
        lambda bundle: (bundle / "extra.txt").write_text("added"),
        lambda bundle: (bundle / "samples.png").unlink(),
        lambda bundle: (bundle / "link").symlink_to("README.md"),
        lambda bundle: (bundle / "evidence" / "findings.json").unlink(),
    ],
    ids=["a file added", "a file removed", "a link", "evidence removed"],
)
def test_other_files_are_noticed(bundle: Path, attack: Attack) -> None:
    attack(bundle)
    assert _run(bundle).returncode == 4


def _sign_by(role: str, name: str) -> Attack:
    def act(bundle: Path) -> None:
        signer = Keyring(bundle.parent / "keys").signer(role)
        kind = TRUST_TYPE if name == TRUST_FILE else PAYLOAD_TYPE
        payload = payload_of((bundle / name).read_bytes(), kind)
        (bundle / name).write_bytes(sign(payload, signer, kind))

    return act


def _say(name: str, role: str, old: str, new: str) -> Attack:
    def act(bundle: Path) -> None:
        payload = payload_of((bundle / name).read_bytes())
        assert old.encode() in payload
        signer = Keyring(bundle.parent / "keys").signer(role)
        (bundle / name).write_bytes(sign(payload.replace(old.encode(), new.encode(), 1), signer))

    return act


def _spoil_signature(name: str) -> Attack:
    def act(bundle: Path) -> None:
        found = json.loads((bundle / name).read_bytes())
        (signature,) = found["dsseEnvelope"]["signatures"]
        raw = bytearray(b64decode(signature["sig"]))
        raw[-1] ^= 1
        signature["sig"] = b64encode(raw).decode()
        (bundle / name).write_bytes(canonical(found))

    return act


def _stranger_key(bundle: Path) -> None:
    (path,) = (bundle / "keys").glob("gate-*.pub")
    path.write_text(Keyring(bundle.parent / "stranger").signer("gate").public_key.keyval["public"])


def _key_of_another_role(bundle: Path) -> None:
    (path,) = (bundle / "keys").glob("gate-*.pub")
    shutil.copyfile(path, path.with_name(path.name.replace("gate", "card")))


def _lie_about_the_model(bundle: Path) -> None:
    """Swap a file of the model, and sign for the new one with the card key, not the trainer's."""
    path = bundle / "transformer" / "config.json"
    old = file_sha256(path)
    path.write_text('{"depth":9}')
    new = file_sha256(path)
    _say("model.sig", "card", old, new)(bundle)


def _line_of_stranger(bundle: Path) -> None:
    path = bundle / "ledger" / "checkpoint"
    text, _, line = path.read_text().partition("\n\n")
    blob = bytearray(b64decode(line.split(" ")[2]))
    blob[-1] ^= 1
    spoilt = f"{text}\n\n{' '.join(line.split(' ')[:2])} {b64encode(blob).decode()}\n"
    for proof in (bundle / "ledger").glob("*.tlog-proof"):
        proof.write_text(proof.read_text().replace(path.read_text(), spoilt))
    path.write_text(spoilt)


def _longer_proof(bundle: Path) -> None:
    path = bundle / "ledger" / "decided.tlog-proof"
    head, _, note = path.read_text().partition("\n\n")
    path.write_text(f"{head}\n{b64encode(bytes(32)).decode()}\n\n{note}")


def _shorter_proof(bundle: Path) -> None:
    path = bundle / "ledger" / "decided.tlog-proof"
    head, _, note = path.read_text().partition("\n\n")
    path.write_text("\n".join(head.split("\n")[:-1]) + f"\n\n{note}")


def _other_leaf(bundle: Path) -> None:
    for suffix in ("leaf", "tlog-proof"):
        other = bundle / "ledger" / f"cleared.{suffix}"
        shutil.copyfile(other, bundle / "ledger" / f"decided.{suffix}")


def _empty_model(bundle: Path) -> None:
    found = json.loads(payload_of((bundle / "model.sig").read_bytes()))
    found["predicate"]["resources"] = []
    signer = Keyring(bundle.parent / "keys").signer("card")
    (bundle / "model.sig").write_bytes(sign(canonical(found), signer))


def _run_under_another_clearance(bundle: Path) -> None:
    path = bundle / "evidence" / "result.json"
    old = file_sha256(path)
    _edit("evidence/result.json", '"clearance":"', '"clearance":"0')(bundle)
    _say("evidence/provenance.json", "trainer", old, file_sha256(path))(bundle)


INSIDE: dict[str, tuple[str, Attack]] = {  # what the script says to an insider who signs anew
    "a statement by another role": (
        "not signed by a gate key", _sign_by("trainer", "evidence/clearance.json"),
    ),
    "a spoilt signature": ("is not what keys/gate", _spoil_signature("evidence/clearance.json")),
    "a spoilt signature of the model": ("is not what keys/card", _spoil_signature("model.sig")),
    "a stranger's key": ("is not the gate key that trust.json names", _stranger_key),
    "a key in another role": ("is not the card key that trust.json names", _key_of_another_role),
    "trust signed by another": ("not signed by a root key", _sign_by("card", "trust.json")),
    "other findings": (
        "the auditor signed other findings", _edit("evidence/findings.json", "0.52", "0.53"),
    ),
    "another decision": (
        "the gate signed another decision", _edit("evidence/decision.json", ":54", ":53"),
    ),
    "a clearance of another decision": (
        "the clearance is of another decision",
        _say("evidence/clearance.json", "gate", '"decision":"', '"decision":"0'),
    ),
    "another result": (
        "the trainer signed another result", _edit("evidence/result.json", ":640", ":641"),
    ),
    "another bill of materials": (
        "not the bill of materials that was signed", _edit("bom.cdx.json", "taken out", "left in"),
    ),
    "another model": (
        "a file of the model is not the one signed", _edit("model_index.json", "PRX", "XRP"),
    ),
    "a model the trainer did not sign": (
        "the trainer did not sign transformer/config.json",
        _lie_about_the_model,
    ),
    "a checkpoint signed by nobody": ("not signed by a log key", _line_of_stranger),
    "a proof of another checkpoint": (
        "is of another checkpoint", _edit("ledger/cleared.tlog-proof", "\n10\n", "\n11\n"),
    ),
    "another place": ("is not act 5", _edit("ledger/decided.tlog-proof", "index 4", "index 5")),
    "no such place": ("no act 10 of 10", _edit("ledger/decided.tlog-proof", "index 4", "index 10")),
    "a number that is code": (
        "is no number", _edit("ledger/decided.tlog-proof", "index 4", "index a[$(id)]"),
    ),
    "an altered leaf": ("is not act 4", _edit("ledger/decided.leaf", "2026-11", "2025-11")),
    "another act": ("speaks of something else", _other_leaf),
    "a model without files": ("model.sig lists no file", _empty_model),
    "a run under another clearance": (
        "the run was under another clearance", _run_under_another_clearance,
    ),
    "a proof too long": ("is longer than the tree", _longer_proof),
    "a proof too short": ("is shorter than the tree", _shorter_proof),
}  # fmt: skip


@pytest.mark.parametrize(("said", "attack"), INSIDE.values(), ids=INSIDE.keys())
def test_an_insider_who_signs_the_list_anew_is_noticed(
    bundle: Path, insider: Insider, said: str, attack: Attack
) -> None:
    attack(bundle)
    insider(bundle)
    ended = _run(bundle)
    assert said in ended.stderr
    assert ended.returncode == 4


@pytest.mark.parametrize(
    ("said", "how"),
    [
        ("is of another ledger", {"origin": "pramana.local/other"}),
        ("does not carry the number of act 5", {"number": 7}),
    ],
    ids=["of another name", "misnumbered"],
)
def test_another_log_under_the_same_key_is_noticed(
    bundle: Path,
    insider: Insider,
    forge_log: Callable[..., None],
    said: str,
    how: dict[str, object],
) -> None:
    forge_log(bundle, **how)
    insider(bundle)
    ended = _run(bundle)
    assert (ended.returncode, said in ended.stderr) == (4, True)


def test_a_list_that_is_not_the_one_signed_is_noticed(bundle: Path) -> None:
    (bundle / "samples.png").write_bytes(b"another")
    (bundle / "SHA256SUMS").write_bytes(listing(bundle))
    ended = _run(bundle)
    assert (ended.returncode, "does not sign this list" in ended.stderr) == (4, True)


def test_a_missing_proof_is_missing_and_not_tampered(bundle: Path, insider: Insider) -> None:
    (bundle / "ledger" / "run.finished.tlog-proof").unlink()
    insider(bundle)
    ended = _run(bundle)
    assert (ended.returncode, "run.finished.tlog-proof is missing" in ended.stderr) == (5, True)
