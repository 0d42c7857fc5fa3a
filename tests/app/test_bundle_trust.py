"""Which keys a bundle is held to: pinned ones, newer and older ones, ended ones, witnesses."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.cosigning import cosigned
from governance.canon import write_whole
from governance.cards.bundle import (
    CARD_STATEMENT,
    SUMS,
    listing,
    make_bundle,
    signed_listing,
)
from governance.cards.verification import verify_bundle
from governance.errors import EvidenceMissing
from governance.signers import roles
from governance.signers.keys import Keyring, make_key
from governance.signers.trust import Trust, key_from_pem
from governance.statements import sign
from governance.trail.note import COSIGNATURE, VerifierKey, cosigners
from governance.workspace import Workspace

RUN = "run-2026-11-23-micro"


def _failed(bundle: Path, pinned: Trust | None) -> set[str]:
    return {c.what.partition(":")[0] for c in verify_bundle(bundle, pinned) if c.status}


def _shell(bundle: Path) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(bundle / "verify.sh")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def made(copy: Workspace, tmp_path: Path) -> tuple[Workspace, Path, Trust]:
    """A workspace, a bundle of its run, and the trust file of that time."""
    trust = copy.keyring.trust()
    return copy, make_bundle(copy, copy.runs / RUN, tmp_path / "card"), trust


def test_a_stranger_cannot_make_a_bundle_for_pinned_keys(
    made: tuple[Workspace, Path, Trust], tmp_path: Path
) -> None:
    assert _failed(made[1], Keyring(tmp_path / "stranger").trust()) == {"keys"}


def test_a_newer_trust_file_counts_when_the_pinned_root_signed_it(
    copy: Workspace, tmp_path: Path
) -> None:
    pinned = copy.keyring.trust()
    roles.rotate(copy, "gate")
    bundle = make_bundle(copy, copy.runs / RUN, tmp_path / "card")
    assert _failed(bundle, pinned) == set()


def test_a_newer_trust_file_of_another_root_does_not_count(
    made: tuple[Workspace, Path, Trust], tmp_path: Path
) -> None:
    _, bundle, pinned = made
    stranger = Keyring(tmp_path / "stranger").signer("root")
    forged = Trust(version=9, origin=pinned.origin, witnesses=0, keys=pinned.keys).signed(stranger)
    (bundle / "trust.json").write_bytes(forged.data)
    assert _failed(bundle, pinned) == {"keys"}


def test_two_trust_files_of_one_version_do_not_count(made: tuple[Workspace, Path, Trust]) -> None:
    workspace, bundle, pinned = made
    root = workspace.keyring.signer("root")
    other = Trust(version=1, origin=pinned.origin, witnesses=0, keys=pinned.keys[:-1]).signed(root)
    (bundle / "trust.json").write_bytes(other.data)
    assert _failed(bundle, pinned) == {"keys"}


@pytest.mark.parametrize("role", ["auditor", "gate", "trainer", "card", "log"])
def test_a_bundle_outlives_the_rotation_of_a_key(
    made: tuple[Workspace, Path, Trust], role: str
) -> None:
    workspace, bundle, _ = made
    roles.rotate(workspace, role)
    assert _failed(bundle, workspace.keyring.trust()) == set()


REVOKED = {
    "auditor": {"audits"},
    "gate": {"decision", "run"},
    "trainer": {"run"},
    "card": {"list", "model", "bom"},
    "log": {"list", "waivers", "ledger", "model", "bom"},
}


@pytest.mark.parametrize(("role", "failing"), REVOKED.items(), ids=REVOKED)
def test_nothing_that_a_revoked_key_signed_counts(
    made: tuple[Workspace, Path, Trust], role: str, failing: set[str]
) -> None:
    workspace, bundle, before = made
    old = before.of(role)[0].keyid
    roles.rotate(workspace, role)
    roles.revoke(workspace, old)
    assert _failed(bundle, workspace.keyring.trust()) == failing


def test_a_key_that_ended_before_an_act_does_not_count_for_it(
    made: tuple[Workspace, Path, Trust],
) -> None:
    workspace, bundle, before = made
    root, gate = workspace.keyring.signer("root"), before.of("gate")[0].keyid
    (decided,) = [e.number for e in workspace.ledger.entries("decided")][-1:]
    on_time = before.ended(gate, decided + 1).signed(root)
    assert _failed(bundle, on_time) == {"run"}  # the clearance came later
    too_early = before.ended(gate, decided).signed(root)
    assert _failed(bundle, too_early) == {"decision", "run"}


def test_an_older_bundle_of_another_house_does_not_count(
    made: tuple[Workspace, Path, Trust], build: Callable[..., Workspace], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = build(tmp_path / "other")
    roles.rotate(other, "gate")
    assert _failed(made[1], other.keyring.trust()) == {"keys"}


@pytest.fixture
def witnessed(copy: Workspace, tmp_path: Path) -> tuple[Workspace, Path]:
    """A workspace in the production profile, and the key of its one witness."""
    key = tmp_path / "witness.pem"
    public = make_key(key, "witness")
    roles.trust_key(copy, role="witness", person="dpo-office", public=public)
    roles.require_witnesses(copy, 1)
    return copy, key


def test_in_production_a_card_waits_for_a_witness(
    witnessed: tuple[Workspace, Path], tmp_path: Path
) -> None:
    with pytest.raises(EvidenceMissing, match="pramana ledger witness"):
        make_bundle(witnessed[0], witnessed[0].runs / RUN, tmp_path / "card")


def test_a_card_says_which_witness_saw_it_and_when(
    witnessed: tuple[Workspace, Path], tmp_path: Path
) -> None:
    workspace, key = witnessed
    ((_, at),) = cosigned(workspace, key, tmp_path / "witness", ())
    bundle = make_bundle(workspace, workspace.runs / RUN, tmp_path / "card")
    when = datetime.fromtimestamp(at, UTC).isoformat()
    card = (bundle / "README.md").read_text()
    assert f"| Seen by witness dpo-office | {when} | `ledger/checkpoint` |" in card
    assert "production: 1 witnesses needed" in card
    shell = _shell(bundle)
    assert (shell.returncode, f"at POSIX time {at}" in shell.stdout) == (0, True)
    assert _failed(bundle, workspace.keyring.trust()) == set()


def test_a_checkpoint_without_its_witness_is_noticed(
    witnessed: tuple[Workspace, Path], tmp_path: Path
) -> None:
    workspace, key = witnessed
    cosigned(workspace, key, tmp_path / "witness", ())
    bundle = make_bundle(workspace, workspace.runs / RUN, tmp_path / "card")
    whole = (bundle / "ledger" / "checkpoint").read_text()
    bare = "\n".join(whole.split("\n")[:-2]) + "\n"
    for path in (bundle / "ledger").iterdir():
        if path.suffix != ".leaf":
            path.write_text(path.read_text().replace(whole, bare))
    assert "ledger" in _failed(bundle, workspace.keyring.trust())
    write_whole(bundle / SUMS, listing(bundle))
    signed = sign(signed_listing((bundle / SUMS).read_bytes()), workspace.keyring.signer("card"))
    write_whole(bundle / CARD_STATEMENT, signed)
    assert "trust.json asks for 1" in _shell(bundle).stderr


def test_the_vkeys_in_a_bundle_are_those_that_signed_its_checkpoint(
    witnessed: tuple[Workspace, Path], tmp_path: Path
) -> None:
    workspace, key = witnessed
    cosigned(workspace, key, tmp_path / "witness", ())
    bundle = make_bundle(workspace, workspace.runs / RUN, tmp_path / "card")
    (path,) = (bundle / "keys").glob("witness-*.vkey")
    vkey = VerifierKey.parse(path.read_text())
    assert vkey.kind == COSIGNATURE
    assert len(cosigners((bundle / "ledger" / "checkpoint").read_text(), [vkey.key])) == 1
    assert vkey.key == key_from_pem(path.with_suffix(".pub").read_bytes(), "witness")
