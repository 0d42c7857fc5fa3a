"""`prove` and `withdraw` from end to end: what is handed out, and what it means for a real run."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.rights import list_lines
from app.verbs.rights import prove, withdraw
from audits.reading.ingest import ingest
from governance.canon import canonical, sha256
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.rights.disclosure import make_presence_file
from governance.rights.presence import prove as proved
from governance.rights.presence_file import PresenceFile, check_presence_file
from governance.rights.requests import Request
from governance.rights.requests import withdraw as take_back
from governance.rights.withdrawals import LeftOut, Standing
from governance.signers.keys import Keyring, TrustedKey, make_key
from governance.signers.trust import Trust
from governance.snapshot import sample_leaves
from governance.statements import payload_of, sign
from governance.trail.proofs import write_proof
from governance.verify import verify_workspace
from governance.workspace import Workspace
from made import folder_of, parquet_of, png

INSIDE, NOWHERE = b"picture 1", b"picture of nobody"


def _run(verb: Callable, workspace: Workspace, *arguments: object) -> Result:
    return CliRunner().invoke(verb, list(map(str, arguments)), obj=workspace.folder)


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "image.bin"
    path.write_bytes(data)
    return path


def _said(workspace: Workspace, tmp_path: Path, data: bytes, *asked: str) -> str:
    out = tmp_path / "proof.json"
    arguments = ("--image", _file(tmp_path, data), "--out", out, *asked)
    ended = _run(prove, workspace, *arguments)
    assert ended.exit_code == 0, ended.output
    checks = check_presence_file(out, workspace.keyring.trust())
    assert {check.status for check in checks} == {0}
    return "\n".join(check.what for check in checks)


def test_a_picture_that_was_cleared_is_proved_to_be_in(
    workspace: Workspace, tmp_path: Path
) -> None:
    cleared = workspace.latest_decision().cleared
    said = _said(workspace, tmp_path, INSIDE)
    assert f"allowed in training: this exact file is in it, 1 of {cleared} samples" in said
    assert "this exact file is in it, 1 of 480 samples" in said


def test_an_excluded_picture_is_proved_to_be_in_the_snapshot_and_not_cleared(
    workspace: Workspace, tmp_path: Path
) -> None:
    decision = workspace.latest_decision()
    cleared = set(workspace.cleared(decision)["sha256"].to_pylist())
    pictures = (f"picture {number}".encode() for number in range(480))
    excluded = next(picture for picture in pictures if sha256(picture) not in cleared)
    said = _said(workspace, tmp_path, excluded)
    assert f"this exact file is not in it, none of {decision.cleared} samples" in said
    assert "this exact file is in it, 1 of 480 samples" in said


def test_a_picture_that_was_never_there_is_proved_absent_from_a_run(
    workspace: Workspace, tmp_path: Path
) -> None:
    said = _said(workspace, tmp_path, NOWHERE, "--run", "latest")
    cleared = workspace.latest_decision().cleared
    assert f"cleared a run to train on: this exact file is not in it, none of {cleared}" in said
    assert "snapshot" not in said


def test_a_proof_is_checked_without_the_workspace_and_shows_no_caption_and_two_neighbours(
    copy: Workspace, tmp_path: Path
) -> None:
    data = make_presence_file(copy, _file(tmp_path, NOWHERE))
    trust, path = copy.keyring.trust().to_bytes(), tmp_path / "proof.json"
    path.write_bytes(data)
    manifest = copy.snapshot(copy.latest_decision().snapshot).manifest()
    copy.folder.rename(tmp_path / "gone")
    checks = check_presence_file(path, Trust.from_bytes(trust))
    assert {check.status for check in checks} == {0}
    assert "saved again is another file" in checks[-1].detail
    texts = [row for name in ("caption", "id") for row in manifest[name].to_pylist()]
    said = data.decode() + payload_of(canonical(json.loads(data)["statement"])).decode()
    assert not [text for text in texts if text in said]
    shown = [image for image in manifest["sha256"].to_pylist() if image in said]
    assert len(shown) <= 4  # two neighbours in the snapshot, two among the cleared
    assert len(data) < 24_000


def test_an_empty_file_is_nobodys_picture(workspace: Workspace, tmp_path: Path) -> None:
    ended = _run(prove, workspace, "--image", _file(tmp_path, b""), "--out", tmp_path / "p.json")
    assert isinstance(ended.exception, UsageError)


def test_what_was_never_decided_cannot_be_proved(tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match="pramana audit"):
        make_presence_file(Workspace.at(tmp_path), _file(tmp_path, INSIDE))


@pytest.fixture(scope="module")
def proof(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> PresenceFile:
    """A proof that a picture is nowhere. Do not alter it."""
    path = _file(tmp_path_factory.mktemp("proof"), NOWHERE)
    return PresenceFile.from_bytes(make_presence_file(workspace, path))


def _new_gate(tmp_path: Path) -> TrustedKey:
    return TrustedKey(role="gate", public=make_key(tmp_path / "gate.pem", "gate"))


Forge = Callable[[PresenceFile, Workspace], PresenceFile]


def _other_act(kind: str) -> Forge:
    def forge(proof: PresenceFile, workspace: Workspace) -> PresenceFile:
        ledger = workspace.ledger
        number = ledger.entries(kind)[0].number
        return replace(proof, leaf=ledger.leaf(number), proof=write_proof(ledger, number))

    return forge


def _moved_act(proof: PresenceFile, workspace: Workspace) -> PresenceFile:
    return replace(proof, leaf=workspace.ledger.leaf(workspace.ledger.entries("decided")[0].number))


def _edited_act(proof: PresenceFile, _: Workspace) -> PresenceFile:
    return replace(proof, leaf=proof.leaf.replace(b'"verdict":"pass"', b'"verdict":"what"'))


def _other_statement(proof: PresenceFile, workspace: Workspace) -> PresenceFile:
    body = workspace.ledger.entries("decided")[0].body
    data = workspace.load(str(body["decision_statement"]), "a statement")
    return replace(proof, statement=json.loads(data))


def _by_the_trainer(proof: PresenceFile, workspace: Workspace) -> PresenceFile:
    payload = payload_of(canonical(proof.statement))
    return replace(proof, statement=json.loads(sign(payload, workspace.keyring.signer("trainer"))))


def _swapped(proof: PresenceFile, _: Workspace) -> PresenceFile:
    first, second = proof.tables
    return replace(proof, tables={first: proof.tables[second], second: proof.tables[first]})


def _of_another_picture(proof: PresenceFile, _: Workspace) -> PresenceFile:
    return replace(proof, sha256=sha256(INSIDE))


def _of_a_smaller_table(proof: PresenceFile, workspace: Workspace) -> PresenceFile:
    cleared = workspace.cleared(workspace.latest_decision())
    fewer = proved(list(sample_leaves(cleared.slice(0, 100))), proof.sha256)
    return replace(proof, tables={**proof.tables, "cleared-samples": fewer})


def _one_table(proof: PresenceFile, _: Workspace) -> PresenceFile:
    return replace(proof, tables={"cleared-samples": proof.tables["cleared-samples"]})


FORGED: dict[str, tuple[Forge, str]] = {
    "an act edited": (_edited_act, "ledger: a signed"),
    "an act moved": (_moved_act, "ledger: a signed"),
    "another decision": (_other_act("decided"), "gate: signed"),
    "an act that clears nothing": (_other_act("sealed"), "ledger: a signed"),
    "another decision's statement": (_other_statement, "gate: signed"),
    "signed by the trainer": (_by_the_trainer, "gate: signed"),
    "proofs swapped": (_swapped, "what the gate"),
    "proof of another picture": (_of_another_picture, "what the gate"),
    "absent from a smaller table": (_of_a_smaller_table, "what the gate"),
    "silent about a table": (_one_table, "tables"),
}


@pytest.mark.parametrize(("forge", "what"), FORGED.values(), ids=FORGED.keys())
def test_a_forged_proof_proves_nothing(
    proof: PresenceFile, workspace: Workspace, tmp_path: Path, forge: Forge, what: str
) -> None:
    path = tmp_path / "forged.json"
    path.write_bytes(forge(proof, workspace).to_bytes())
    checks = check_presence_file(path, workspace.keyring.trust())
    failed = [check for check in checks if check.status]
    assert [what in failed[0].what, failed[0].status] == [True, Tampered.status]


def test_a_gate_key_that_was_rotated_before_the_act_does_not_count(
    proof: PresenceFile, workspace: Workspace, tmp_path: Path
) -> None:
    path, trust = tmp_path / "proof.json", workspace.keyring.trust()
    path.write_bytes(proof.to_bytes())
    gate, number = trust.of("gate")[0].keyid, proof.act().number
    assert not max(c.status for c in check_presence_file(path, trust.ended(gate, number + 1)))
    for until in (number, 0):
        failed = [c for c in check_presence_file(path, trust.ended(gate, until)) if c.status]
        assert failed[0].what.startswith("gate: signed")


def test_nothing_is_handed_out_that_would_not_verify(copy: Workspace, tmp_path: Path) -> None:
    trust = copy.keyring.trust()
    copy.keyring.write(trust.ended(trust.of("gate")[0].keyid, 0).with_key(_new_gate(tmp_path)))
    with pytest.raises(EvidenceMissing, match="No proof was written: gate: signed"):
        make_presence_file(copy, _file(tmp_path, INSIDE))


def test_a_stranger_proves_nothing(proof: PresenceFile, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_bytes(proof.to_bytes())
    checks = check_presence_file(path, Keyring(tmp_path / "keys").trust())
    assert checks[-1].status
    assert "this exact file" not in "".join(check.what for check in checks)


WRITTEN: dict[str, Callable[[dict], object]] = {
    "a key more": lambda r: {**r, "note": "trust me"},
    "a key less": lambda r: {key: r[key] for key in r if key != "leaf"},
    "another schema": lambda r: {**r, "schema": "pramana.presence/v2"},
    "a digest in capitals": lambda r: {**r, "sha256": r["sha256"].upper()},
    "a digest cut": lambda r: {**r, "sha256": r["sha256"][:-2]},
    "the digest of nothing": lambda r: {**r, "sha256": sha256(b"")},
    "no digest": lambda r: {**r, "sha256": None},
    "a leaf that is no base64": lambda r: {**r, "leaf": "*"},
    "tables in a list": lambda r: {**r, "tables": []},
    "a list": lambda r: [r],
}


@pytest.mark.parametrize("edit", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_file_that_is_not_a_proof_to_the_letter_is_refused(
    proof: PresenceFile, edit: Callable[[dict], object]
) -> None:
    record = json.loads(proof.to_bytes())
    with pytest.raises(Tampered):
        PresenceFile.from_bytes(canonical(edit(record)))


@pytest.mark.parametrize("data", [b"", b"{}", b" ", b"\xff", b"[" * 9000], ids=range(5))
def test_bytes_that_are_no_proof_are_refused(data: bytes) -> None:
    with pytest.raises(Tampered):
        PresenceFile.from_bytes(data)


def test_the_same_proof_written_otherwise_is_refused(proof: PresenceFile) -> None:
    with pytest.raises(Tampered, match="ask for a new one"):
        PresenceFile.from_bytes(json.dumps(json.loads(proof.to_bytes())).encode())


def _standing(folder: Path, **said: frozenset[str]) -> Standing:
    none: frozenset[str] = frozenset()
    return Standing(**{"images": none, "sources": none, "subjects": none, "salts": folder, **said})


SOURCES: dict[str, Callable[[Path], Path]] = {
    "a folder": lambda path: folder_of(
        path / "set",
        [{"file_name": "a.png", "text": "one"}, {"file_name": "b.png", "text": "two"}],
    ),
    "Parquet in place": lambda path: parquet_of(path / "set.parquet", 2),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_a_withdrawn_sample_is_not_ingested_and_its_bytes_are_written_nowhere(
    tmp_path: Path, source: Callable[[Path], Path]
) -> None:
    left_out = LeftOut(_standing(tmp_path, images=frozenset({sha256(png(1))})))
    snapshot = ingest([str(source(tmp_path))], snapshots=tmp_path / "snapshots", leave_out=left_out)
    manifest = snapshot.manifest()
    assert manifest["sha256"].to_pylist() == [sha256(png(0))]
    assert left_out.count == 1
    assert list(snapshot.open_shard(0).images(manifest["row"].to_pylist(), [sha256(png(0))]))
    written = b"".join(p.read_bytes() for p in snapshot.folder.rglob("*") if p.is_file())
    assert sha256(png(1)) not in written.decode("latin-1")


def test_a_source_that_was_withdrawn_whole_leaves_the_other_to_be_read(tmp_path: Path) -> None:
    one = parquet_of(tmp_path / "one.parquet", 2)
    two = folder_of(tmp_path / "two", [{"file_name": "c.png", "text": "c"}], pictures=("c.png",))
    left_out = LeftOut(_standing(tmp_path, sources=frozenset({"one.parquet"})))
    snapshot = ingest([str(one), str(two)], snapshots=tmp_path / "s", leave_out=left_out)
    assert (snapshot.samples, left_out.count) == (1, 2)
    with pytest.raises(UsageError, match="nothing can be sealed"):
        ingest([str(one)], snapshots=tmp_path / "s", leave_out=left_out)


def test_withdraw_lists_and_closes_tasks(copy: Workspace) -> None:
    assert "Nothing was withdrawn" in _run(withdraw, copy, "--list").output
    image = sha256(INSIDE)
    ended = _run(withdraw, copy, "--sha256", image.upper(), "--reason", "wrote on 2 March")
    assert ended.exit_code == 0, ended.output
    assert "withdrawn: pictures 1, in the 1 snapshots searched" in ended.output
    assert "Only exact bytes count" in ended.output
    verified = {check.what: check.status for check in verify_workspace(copy)}
    flagged = [what for what in verified if what.startswith("withdrawal ")]
    assert flagged[0].endswith("pictures 1; flags the card of run-2026-11-23-micro")
    assert verified[flagged[0]] == 0
    again = _run(withdraw, copy, "--sha256", image)
    assert "withdrawn before, nothing new" in again.output
    listed = _run(withdraw, copy, "--list").output
    assert "wrote on 2 March" in listed
    assert "from 2027-05-13" in listed
    task = listed.split()[1].removesuffix(":")
    done = _run(withdraw, copy, "--done", task, "--by", "B. Sen", "--note", "told her")
    assert "by B. Sen: told her" in done.output


def test_what_is_overdue_comes_first(copy: Workspace) -> None:
    for number, days in ((1, 0), (2, 40), (3, 20)):
        asked = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
        request = Request(images=(sha256(f"picture {number}".encode()),))
        take_back(copy, request, now=asked)
    lines = list(list_lines(copy, date(2026, 2, 15)))
    dues = [line for line in lines if line.startswith("task")]
    assert ["OVERDUE, due 2026-02-01" in dues[0], "OVERDUE" in dues[1]] == [True, False]
    assert [line.split("due ")[1][:10] for line in dues] == [
        "2026-02-01", "2026-02-21", "2026-03-10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [(), ("--list", "--done", "abcdef"), ("--sample", "x", "--list")],
    ids=["nothing", "list and done", "withdraw and list"],
)
def test_withdraw_does_one_thing_at_a_time(copy: Workspace, arguments: tuple[str, ...]) -> None:
    assert _run(withdraw, copy, *arguments).exit_code == 2


def test_a_run_that_cannot_be_worked_out_counts_as_one_that_saw_it(copy: Workspace) -> None:
    ended = _run(withdraw, copy, "--sha256", sha256(INSIDE))
    assert "✕ run run-2026-11-23-micro (finished): counts as trained on all of them" in ended.output
