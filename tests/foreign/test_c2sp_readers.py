"""What we export is read, and what was forged is refused, by programs that are not ours.

Two readers: Go's x/mod/sumdb, which guards every Go module download (Debian's
golang-golang-x-mod-dev, driven by c2sp/reader.go), and aics-tlog from PyPI in a venv of its own
(c2sp/.venv). `.ci/run` installs both; where one is absent its tests skip and say so.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from governance.signers.keys import Keyring
from governance.signers.trust import TrustedKey
from governance.trail import tiles
from governance.trail.ledger import Ledger
from governance.trail.note import SignedNote, cosignature, log_vkey, with_lines, witness_vkey
from governance.trail.proofs import write_proof
from governance.trail.witness import accept, witness_name

SIZE, OLD, ACT = 600, 301, 77

Ran = tuple[int, str]
Reader = Callable[..., Ran]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an outsider is given: checkpoints, a proof with its act, a mirror, and the keys."""
    folder = tmp_path_factory.mktemp("written")
    keyring, witness = Keyring(folder / "keys"), CryptoSigner.generate_ed25519()
    key = TrustedKey(role="witness", person="asha", public=witness.public_key)
    trust, name = keyring.trust().with_key(key), witness_name(witness.public_key)
    ledger = Ledger(
        f"sqlite:///{folder / 'ledger.db'}", trust.origin, tuple(trust.of("log")),
        lambda: keyring.signer("log"),
    )  # fmt: skip
    for count in (OLD, SIZE - OLD):
        ledger.append_many([("test", {"number": number}) for number in range(count)])
    line = cosignature(ledger.note(), witness, name=name, at=1795420753)
    accept(ledger, trust, with_lines(ledger.note(), [line]))
    (folder / "log.vkey").write_text(log_vkey(trust.origin, trust.of("log")[0]))
    (folder / "witness.vkey").write_text(witness_vkey(name, witness.public_key))
    stranger = CryptoSigner.generate_ed25519().public_key
    (folder / "other-log.vkey").write_text(log_vkey(trust.origin, stranger))
    (folder / "other-witness.vkey").write_text(witness_vkey(name, stranger))
    (folder / "old.note").write_text(ledger.note(OLD))
    (folder / "new.note").write_text(ledger.note())
    (folder / "act.tlog-proof").write_text(write_proof(ledger, ACT))
    (folder / "act.leaf").write_bytes(ledger.leaf(ACT))
    steps = ledger.consistency(OLD, SIZE)
    (folder / "steps").write_text("".join(f"{base64.b64encode(s).decode()}\n" for s in steps))
    tiles.export(ledger, folder / "mirror")
    return folder


@pytest.fixture
def given(written: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may forge."""
    return shutil.copytree(written, tmp_path / "given")


@pytest.fixture(scope="session")
def aics() -> Reader:
    """Run aics-tlog: exit status, and what it says."""
    program = Path(__file__).parent / "c2sp" / ".venv" / "bin" / "aics-tlog"
    if not program.is_file():
        pytest.skip("aics-tlog is not in tests/foreign/c2sp/.venv; `.ci/run` puts it there")

    def run(*arguments: object) -> Ran:
        ended = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        return ended.returncode, ended.stdout + ended.stderr

    return run


def _vkeys(folder: Path) -> list[str]:
    return [(folder / f"{name}.vkey").read_text() for name in ("log", "witness")]


def _go_all(go: Reader, folder: Path) -> dict[str, Ran]:
    """Ask the Go program about everything in a folder."""
    both, log = _vkeys(folder), _vkeys(folder)[0]
    steps = (folder / "steps").read_text().split()
    return {
        "checkpoint": go("checkpoint", folder / "new.note", *both),
        "proof": go("proof", folder / "act.tlog-proof", folder / "act.leaf", *both),
        "grown": go("grown", folder / "old.note", folder / "new.note", log, *steps),
        "mirror": go("mirror", folder / "mirror", *both),
    }


def test_go_accepts_checkpoint_cosignature_proof_growth_and_every_entry_of_the_mirror(
    go: Reader, written: Path
) -> None:
    assert _go_all(go, written) == dict.fromkeys(
        ("checkpoint", "proof", "grown", "mirror"), (0, "")
    )


Forge = Callable[[Path], object]


def _replace(name: str, old: str, new: str) -> Forge:
    def forge(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return forge


def _flip(name: str, at: int) -> Forge:
    def forge(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at] ^= 1
        (folder / name).write_bytes(bytes(data))

    return forge


def _another(role: str) -> Forge:
    return lambda folder: Path(shutil.copy(folder / f"other-{role}.vkey", folder / f"{role}.vkey"))


def _shorter(folder: Path) -> None:
    """Leave out the first hash of the proof that the log grew."""
    (folder / "steps").write_text((folder / "steps").read_text().partition("\n")[2])


def _later(folder: Path) -> None:
    """Let the witness have seen the checkpoint a second later."""
    note = SignedNote.parse((folder / "new.note").read_bytes())
    log, seen = note.lines
    at = int.from_bytes(seen.signature[:8], "big") + 1
    seen = replace(seen, signature=at.to_bytes(8, "big") + seen.signature[8:])
    (folder / "new.note").write_text(replace(note, lines=(log, seen)).text())


ALL = {"checkpoint", "proof", "grown", "mirror"}
FORGED: dict[str, tuple[Forge, set[str]]] = {
    "another size": (
        _replace("new.note", f"\n{SIZE}\n", f"\n{SIZE + 1}\n"), {"checkpoint", "grown"},
    ),
    "a kept checkpoint of another size": (
        _replace("old.note", f"\n{OLD}\n", f"\n{OLD - 1}\n"), {"grown"},
    ),
    "another act": (_flip("act.leaf", 20), {"proof"}),
    "another place": (_replace("act.tlog-proof", f"index {ACT}", f"index {ACT + 1}"), {"proof"}),
    "a hash of the growth left out": (_shorter, {"grown"}),
    "an entry of the mirror": (_flip("mirror/tile/entries/001", 40), {"mirror"}),
    "a tile of the mirror": (_flip("mirror/tile/0/000", 5), {"mirror"}),
    "the checkpoint of the mirror": (_flip("mirror/checkpoint", 50), {"mirror"}),
    "another log's key": (_another("log"), ALL),
    "another witness's key": (_another("witness"), ALL - {"grown"}),
    "another time of the witness": (_later, {"checkpoint"}),
}  # fmt: skip


@pytest.mark.parametrize(("forge", "refused"), FORGED.values(), ids=FORGED.keys())
def test_go_refuses_what_was_forged_and_nothing_else(
    forge: Forge, refused: set[str], go: Reader, given: Path
) -> None:
    forge(given)
    said = _go_all(go, given)
    assert {verb for verb, (status, _) in said.items() if status == 1} == refused
    assert all(text for status, text in said.values() if status)


def _aics_all(aics: Reader, folder: Path) -> dict[str, Ran]:
    log, witness = _vkeys(folder)
    keys = ("--log-key", log, "--witness-key", witness, "--quorum", 1)
    mirror = ("--tiles", folder / "mirror", *keys)
    return {
        "checkpoint": aics("verify-checkpoint", "--note", folder / "new.note", *keys),
        "inclusion": aics(
            "verify-inclusion", *mirror, "--leaf", folder / "act.leaf", "--index", ACT
        ),
        "grown": aics("verify-consistency", *mirror, "--old-checkpoint", folder / "old.note"),
    }  # fmt: skip


def test_aics_tlog_accepts_checkpoint_cosignature_inclusion_and_growth(
    aics: Reader, written: Path
) -> None:
    said = {verb: json.loads(text) for verb, (_, text) in _aics_all(aics, written).items()}
    assert all(answer["ok"] for answer in said.values())
    assert {answer["cosignatures"] for answer in said.values()} == {1}
    assert {answer["size"] for answer in said.values()} == {SIZE}


@pytest.mark.parametrize(
    ("forge", "refused"),
    [
        (_replace("new.note", f"\n{SIZE}\n", f"\n{SIZE + 1}\n"), {"checkpoint"}),
        (_replace("old.note", f"\n{OLD}\n", f"\n{OLD - 1}\n"), {"grown"}),
        (_flip("act.leaf", 20), {"inclusion"}),
        (_flip("mirror/tile/0/000", 5), {"inclusion", "grown"}),
        (_flip("mirror/checkpoint", 50), {"inclusion", "grown"}),
        (_later, {"checkpoint"}),
        (_another("log"), {"checkpoint", "inclusion", "grown"}),
    ],
    ids=["another size", "a kept checkpoint", "another act", "a tile", "the mirror's checkpoint",
         "another time of the witness", "another log's key"],
)  # fmt: skip
def test_aics_tlog_refuses_what_was_forged_and_nothing_else(
    forge: Forge, refused: set[str], aics: Reader, given: Path
) -> None:
    forge(given)
    said = _aics_all(aics, given)
    assert {verb for verb, (status, _) in said.items() if status == 1} == refused
