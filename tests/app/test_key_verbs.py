"""`pramana keys` and `pramana clearance`, as people type them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.cli import cli
from governance.clearance import revoked_in
from governance.errors import PramanaError, Refused, UsageError
from governance.signers.trust import Trust
from governance.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace.at(tmp_path / "place")


def _said(place: Workspace, *words: str) -> Result:
    return CliRunner().invoke(
        cli, ["--workspace", str(place.folder), *words], catch_exceptions=False
    )


def test_a_person_gets_a_key_and_is_listed(place: Workspace) -> None:
    made = _said(place, "keys", "new", "dpo", "asha")
    assert "asha-dpo.pem" in made.output
    path = place.keyring.folder / "people" / "asha-dpo.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    listed = _said(place, "keys", "list").output
    assert "profile local" in listed
    assert len([line for line in listed.splitlines() if "(house)" in line]) == 6
    assert any(
        "dpo" in line and "asha" in line and "in use" in line for line in listed.splitlines()
    )


def test_a_key_made_elsewhere_is_trusted_and_the_file_is_written_for_outsiders(
    place: Workspace, tmp_path: Path
) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = tmp_path / "bina.pub"
    pem.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    out = tmp_path / "trust.json"
    _said(place, "keys", "trust", "legal", "bina", "--public", str(pem), "--out", str(out))
    assert [key.person for key in Trust.from_bytes(out.read_bytes()).keys if key.person] == ["bina"]
    with pytest.raises(UsageError, match="1 witnesses were asked for"):
        _said(place, "keys", "trust", "--witnesses", "1")


def test_rotating_and_revoking_are_told_and_shown(place: Workspace) -> None:
    old = place.keyring.trust().of("gate")[0].keyid
    with pytest.raises(Refused, match="rotate gate"):
        _said(place, "keys", "revoke", old[:10])
    _said(place, "keys", "rotate", "gate")
    assert "until act" in _said(place, "keys", "list").output
    _said(place, "keys", "revoke", old[:10])
    assert "revoked" in _said(place, "keys", "list").output
    assert revoked_in(place.ledger) == {old}


def test_a_person_is_forgotten_once(place: Workspace) -> None:
    _said(place, "keys", "new", "dpo", "asha")
    assert "can no longer be tied" in _said(place, "keys", "forget", "asha").output
    place.ledger.verify()
    with pytest.raises(PramanaError, match="nothing to erase"):
        _said(place, "keys", "forget", "asha")


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "trust"],
        ["keys", "trust", "dpo"],
        ["keys", "trust", "--public", "{}/none"],
        ["keys", "new", "dpo"],
    ],
    ids=["nothing", "no person", "no such file", "no name"],
)
def test_half_a_sentence_is_a_usage_error(
    place: Workspace, tmp_path: Path, words: list[str]
) -> None:
    assert _said(place, *(word.format(tmp_path) for word in words)).exit_code == 2


def test_clearances_are_listed_and_revoked(copy: Workspace) -> None:
    (line,) = _said(copy, "clearance", "list").output.splitlines()
    assert "used by run run-2026-11-23-micro" in line
    _said(copy, "clearance", "revoke", line[:16])
    assert "revoked, used by run" in _said(copy, "clearance", "list").output
