"""`pramana ledger`: each verb does what its help says, and refuses with the right exit status."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import click
import pytest
from securesystemslib.signer import CryptoSigner

from app.verbs.ledger import ledger
from governance.errors import EvidenceMissing, PramanaError, Refused, Tampered, UsageError
from governance.signers.keys import signer_at
from governance.signers.roles import require_witnesses, rotate, trust_key
from governance.trail.note import VerifierKey, cosigners, log_vkey, open_note, unverified
from governance.workspace import Workspace

Run = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A workspace whose ledger holds seven acts."""
    (tmp_path / "place").mkdir()
    place = Workspace.at(tmp_path / "place")
    for number in range(7):
        place.ledger.append("test", {"number": number})
    return place


@pytest.fixture
def run(place: Workspace, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a verb on that workspace and return what it prints."""

    def called(*arguments: object) -> str:
        ledger.main([*map(str, arguments)], obj=place.folder, standalone_mode=False)
        return capsys.readouterr().out

    return called


@pytest.fixture
def witness(place: Workspace, tmp_path: Path) -> Path:
    """The private key of a witness whom the workspace trusts."""
    signer = CryptoSigner.generate_ed25519()
    path = tmp_path / "witness.pem"
    path.touch(mode=0o600)
    path.write_bytes(signer.private_bytes)
    trust_key(place, role="witness", person="asha", public=signer.public_key)
    return path


def test_verify_prints_size_root_and_keys(run: Run, place: Workspace) -> None:
    head = place.ledger.verify()
    assert f"root {head.root.hex()}" in run("verify")
    said = json.loads(run("verify", "--json"))
    assert (said["size"], said["root"], said["witnesses"]) == (7, head.root.hex(), [])
    key = VerifierKey.parse(said["keys"][0]).key
    assert open_note(place.ledger.note(), [key], origin=said["origin"]) == head


def test_verify_holds_the_ledger_to_what_was_seen_of_it_before(run: Run, place: Workspace) -> None:
    run("verify")
    database = place.state / "ledger.db"
    for path in database.parent.glob("ledger.db*"):
        path.unlink()
    for number in range(9):
        place.ledger.append("another", {"number": number})
    assert place.ledger.verify().size == 9  # by itself it is a ledger like any other
    with pytest.raises(Tampered, match=r"memory \(3\): The tree"):
        run("verify")


def test_verify_finds_an_edited_act(run: Run, place: Workspace) -> None:
    with closing(sqlite3.connect(place.state / "ledger.db")) as database, database:
        database.execute("DROP TRIGGER entries_no_update")
        database.execute("UPDATE entries SET kind = 'other' WHERE number = 2")
    with pytest.raises(Tampered):
        run("verify")


def test_an_act_is_proved_and_checked_without_the_workspace(
    run: Run, place: Workspace, tmp_path: Path
) -> None:
    said = run("prove", "3", "--out", tmp_path / "act")
    assert "act 3 (test) under the checkpoint of size 7" in said
    assert "pramana ledger check" in said
    (tmp_path / "trust.json").write_bytes(place.keyring.trust().to_bytes())
    arguments = ("check", tmp_path / "act.tlog-proof", "--trust", tmp_path / "trust.json")
    checked = json.loads(run(*arguments, "--json"))
    assert (checked["act"], checked["kind"], checked["size"]) == (3, "test", 7)
    assert "act 3 (test, " in run(*arguments)
    assert (tmp_path / "act.leaf").read_bytes() == place.ledger.leaf(3)
    leaf = tmp_path / "act.leaf"
    leaf.write_bytes(leaf.read_bytes().replace(b'"number":3', b'"number":4'))
    with pytest.raises(Tampered, match="Leaf 3 is not in the tree"):
        run(*arguments)


def test_the_latest_act_is_proved_by_that_word(run: Run, tmp_path: Path) -> None:
    said = json.loads(run("prove", "latest", "--out", tmp_path / "a.tlog-proof", "--json"))
    assert (said["act"], said["size"], said["kind"]) == (6, 7, "test")
    assert said["proof"] == str(tmp_path / "a.tlog-proof")


@pytest.mark.parametrize(
    ("act", "error"),
    [("7", EvidenceMissing), ("-1", click.UsageError), ("x", UsageError), ("\u0663", UsageError)],
)
def test_an_act_that_is_not_there_is_not_proved(
    act: str, error: type[Exception], run: Run, tmp_path: Path
) -> None:
    with pytest.raises(error):
        run("prove", act, "--out", tmp_path / "act")
    assert not list(tmp_path.glob("act*"))


def test_a_proof_is_never_written_over_another_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "act.leaf").write_text("kept")
    with pytest.raises(UsageError, match=r"act\.leaf exists"):
        run("prove", "1", "--out", tmp_path / "act.tlog-proof")
    assert (tmp_path / "act.leaf").read_text() == "kept"


def test_a_checkpoint_is_printed_as_it_was_signed(run: Run, place: Workspace) -> None:
    assert run("checkpoint") == place.ledger.note()
    assert run("checkpoint", "--size", 3) == place.ledger.note(3)
    with pytest.raises(EvidenceMissing):
        run("checkpoint", "--size", 8)


def test_a_witness_cosigns_each_time_the_trail_grew(
    run: Run, place: Workspace, witness: Path, tmp_path: Path
) -> None:
    arguments = ("witness", "--key", witness, "--state", tmp_path / "state")
    for _ in range(3):
        assert "witness asha saw it at 20" in run(*arguments)
        assert "witness asha saw it at 20" in run(*arguments)  # again, and nothing is doubled
        place.ledger.append("test", {})
    assert len(place.ledger.cosigned()) == 3
    assert "witness asha saw it at" not in run("verify")  # the newest is not cosigned yet
    run(*arguments)
    assert json.loads(run("verify", "--json"))["witnesses"][0]["witness"] == "asha"


def test_a_witness_refuses_a_trail_that_was_written_anew(
    run: Run, place: Workspace, witness: Path, tmp_path: Path
) -> None:
    arguments = ("witness", "--key", witness, "--state", tmp_path / "state")
    run(*arguments)
    for path in place.state.glob("ledger.db*"):
        path.unlink()
    for number in range(12):
        place.ledger.append("another", {"number": number})
    with pytest.raises(Tampered, match=r"witness \(3\)"):
        run(*arguments)
    assert place.ledger.cosigned() == []


def test_a_key_that_is_no_witness_of_the_trust_file_signs_nothing(
    run: Run, place: Workspace, witness: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.touch(mode=0o600)
    other.write_bytes(CryptoSigner.generate_ed25519().private_bytes)
    with pytest.raises(Refused, match="no witness's in the trust file"):
        run("witness", "--key", other, "--state", tmp_path / "state")
    assert not (tmp_path / "state").exists()
    with pytest.raises(UsageError, match="--key and --state"):
        run("witness", "--key", other)


def test_a_witness_who_never_meets_the_workspace_cosigns_a_copy(
    run: Run, place: Workspace, witness: Path, tmp_path: Path
) -> None:
    log = json.loads(run("verify", "--json"))["keys"][0]
    away = ("witness", "--key", witness, "--state", tmp_path / "state")
    for number, vouched in enumerate((("--log-key", log), ())):
        run("export", "--out", tmp_path / f"copy{number}")
        if vouched:
            with pytest.raises(Refused, match=r"witness \(1\)"):
                run(*away, "--mirror", tmp_path / "copy0")
        note = tmp_path / f"cosigned{number}"
        note.write_text(run(*away, "--mirror", tmp_path / f"copy{number}", *vouched))
        assert cosigners(note.read_bytes(), [signer_at(witness).public_key])
        assert "witness asha saw it" in run("witness", "--add", note)
        assert place.ledger.cosigned()[-1] == unverified(note.read_bytes()).size
        place.ledger.append("test", {})
    tile = tmp_path / "copy1" / "tile" / "entries" / "000.p"
    path = next(tile.iterdir())
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":3'))
    with pytest.raises(Tampered, match="are not those its checkpoint commits to"):
        run(*away, "--mirror", tmp_path / "copy1")


def test_a_witness_cannot_be_vouched_for_as_a_log(run: Run, witness: Path, tmp_path: Path) -> None:
    vkey = json.loads(run("verify", "--json"))["keys"][1]
    with pytest.raises(UsageError, match="is a witness's, not a log's"):
        run("witness", "--key", witness, "--state", tmp_path / "state", "--log-key", vkey)
    assert not list(tmp_path.glob("state/*.json"))


def test_after_a_rotation_the_witness_asks_who_vouches_for_the_new_key(
    run: Run, place: Workspace, witness: Path, tmp_path: Path
) -> None:
    arguments = ("witness", "--key", witness, "--state", tmp_path / "state")
    run(*arguments)
    rotate(place, "log")
    with pytest.raises(Tampered, match="no signature of a log key"):
        run(*arguments)
    log = json.loads(run("verify", "--json"))["keys"][0]
    assert "witness asha" in run(*arguments, "--log-key", log)
    assert "witness asha" in run(*arguments)


def test_the_production_profile_proves_by_a_cosigned_checkpoint_only(
    run: Run, place: Workspace, witness: Path, tmp_path: Path
) -> None:
    require_witnesses(place, 1)
    with pytest.raises(EvidenceMissing, match="Ask the witnesses"):
        run("prove", "2", "--out", tmp_path / "a")
    run("witness", "--key", witness, "--state", tmp_path / "state")
    size = place.ledger.size()
    place.ledger.append("test", {})
    said = json.loads(run("prove", "2", "--out", tmp_path / "a", "--json"))
    assert said["size"] == size
    (tmp_path / "trust.json").write_bytes(place.keyring.trust().to_bytes())
    checked = run("check", tmp_path / "a.tlog-proof", "--trust", tmp_path / "trust.json")
    assert "witness asha saw it at" in checked


def test_the_trail_extends_a_checkpoint_that_somebody_kept(
    run: Run, place: Workspace, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.note"
    kept.write_text(run("checkpoint", "--size", 3))
    assert "the trail of 7 entries extends the one of 3" in run("consistency", kept)
    said = json.loads(run("consistency", kept, "--json"))
    assert len(said["proof"]) == len(place.ledger.consistency(3, 7))
    kept.write_text(run("checkpoint"))
    assert json.loads(run("consistency", kept, "--json"))["proof"] == []


def test_the_trail_does_not_extend_a_checkpoint_of_before_it_was_rewritten_or_cut(
    run: Run, place: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "three").write_text(run("checkpoint", "--size", 3))
    (tmp_path / "seven").write_text(run("checkpoint"))
    for path in place.state.glob("ledger.db*"):
        path.unlink()
    for number in range(5):
        place.ledger.append("another", {"number": number})
    with pytest.raises(Tampered, match="does not extend the tree of 3"):
        run("consistency", tmp_path / "three")
    with pytest.raises(Tampered, match="5 entries; it had 7 before"):
        run("consistency", tmp_path / "seven")


def test_a_copy_of_the_trail_has_its_root(run: Run, place: Workspace, tmp_path: Path) -> None:
    root = place.ledger.verify().root.hex()
    url = f"sqlite:///{tmp_path / 'copied.db'}"
    assert f"7 entries copied and verified, root {root}" in run("copy", "--to", url)
    with pytest.raises(Refused, match="not empty"):
        run("copy", "--to", url)


@pytest.mark.parametrize(
    "arguments",
    [("checkpoint",), ("prove", "latest", "--out", "x"), ("export", "--out", "x")],
    ids=lambda given: given[0],
)
def test_an_empty_trail_has_nothing_to_show(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EvidenceMissing, match="There is no workspace"):
        ledger.main([*arguments], obj=tmp_path, standalone_mode=False)
    assert list(tmp_path.iterdir()) == []  # a question makes no keys
    Workspace.at(tmp_path)
    with pytest.raises(PramanaError):
        ledger.main([*arguments], obj=tmp_path, standalone_mode=False)
    assert not list(tmp_path.glob("x*"))


def test_every_verb_has_an_example_in_its_help() -> None:
    commands: Mapping[str, click.Command] = ledger.commands
    assert set(commands) == {
        "verify", "prove", "check", "checkpoint", "witness", "consistency", "export", "copy",
    }  # fmt: skip
    assert all("pramana ledger " in str(command.help) for command in commands.values())


@pytest.mark.slow
def test_the_document_can_be_followed_to_the_letter(place: Workspace, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
    log_key = log_vkey(place.keyring.trust().origin, place.keyring.trust().of("log")[0])
    script = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    for name in (".pramana", "pramana.toml"):
        shutil.move(place.folder / name, tmp_path / name)
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LOG_KEY": log_key}
    ended = subprocess.run(
        ["/bin/bash", "-euc", script], cwd=tmp_path, env={**os.environ, **here},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("witness asha saw it at") == 2
    assert (tmp_path / "mirror" / "tile" / "entries").is_dir()
