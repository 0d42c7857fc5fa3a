"""What is kept of what a model draws: signed, in the ledger, on the card and the screen."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import drawn
from app.runs import drawn_rows
from governance.canon import canonical, write_whole
from governance.cards.bundle import CARD_STATEMENT, SUMS, listing, signed_listing
from governance.cards.drawn_files import DREW, drawn_evidence, keep_drawn
from governance.cards.render import card_text
from governance.cards.verification import verify_bundle
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.signers.keys import Keyring
from governance.statements import payload_of, sign
from governance.verify import verify_workspace
from governance.workspace import Workspace

pytestmark = pytest.mark.xdist_group("drawn")  # its workspace is made once
PAGES = Path(drawn.__file__).parent / "screens" / "pages.py"


def _failed(workspace: Workspace) -> list[tuple[str, int]]:
    return [(c.what, c.status) for c in verify_workspace(workspace) if c.status]


def test_killed_between_act_and_copy_the_earlier_copy_is_no_forgery(signed: Workspace) -> None:
    run = next(signed.runs.iterdir())
    before = (run / "drawn.json").read_bytes()
    record = {**json.loads(before), "samples": 3}
    keep_drawn(signed, run.name, canonical(record))
    write_whole(run / "drawn.json", before)
    with pytest.raises(EvidenceMissing, match="pramana evaluate"):
        drawn_evidence(signed, run.name)


def _edit(run: Path, _workspace: Workspace) -> None:
    path = run / "drawn.json"
    path.write_bytes(path.read_bytes().replace(b'"samples":2', b'"samples":9'))


def _remove(run: Path, _workspace: Workspace) -> None:
    (run / "drawn.json").unlink()


def _of_another_run(run: Path, workspace: Workspace) -> None:
    said = json.loads((run / "drawn.json").read_bytes())
    keep_drawn(workspace, run.name, canonical({**said, "result": "0" * 64}))


def _signed_by_the_gate(run: Path, workspace: Workspace) -> None:
    [act] = workspace.ledger.entries(DREW)
    payload = payload_of(workspace.load(str(act.body["statement"]), "a statement"))
    statement = workspace.store(sign(payload, workspace.keyring.signer("gate")))
    workspace.ledger.append(DREW, {**act.body, "statement": statement})


def _signed_for_another(run: Path, workspace: Workspace) -> None:
    """The auditor's statement on an earlier record, put beside a later one."""
    [act] = workspace.ledger.entries(DREW)
    said = canonical({**json.loads((run / "drawn.json").read_bytes()), "samples": 3})
    write_whole(run / "drawn.json", said)
    workspace.ledger.append(DREW, {**act.body, "sha256": workspace.store(said)})


@pytest.mark.parametrize(
    ("attack", "status"),
    [
        (_signed_for_another, 4),
        (_edit, 4),
        (_remove, 5),
        (_of_another_run, 4),
        (_signed_by_the_gate, 3),
    ],
    ids=["signed for another", "edited", "removed", "of another run", "signed by another role"],
)
def test_what_was_altered_since_is_noticed(signed: Workspace, attack, status: int) -> None:
    run = next(signed.runs.iterdir())
    attack(run, signed)
    assert _failed(signed) == [(f"run {run.name}: what it draws, as the auditor signed it", status)]
    with pytest.raises((Tampered, EvidenceMissing, Refused)):
        card_text(signed, run.name)


def test_the_card_shows_figures_with_their_evidence(evaluated) -> None:
    workspace, found = evaluated
    text = card_text(workspace, found.run)
    row = next(line for line in text.splitlines() if "bytes or pixels of a training" in line)
    assert "0.5 (95 % interval 0.09453 to 0.9055), 2 pictures" in row
    assert "`drawn.json`" in row
    assert "OUT-SEXUAL: 1" in text.replace("&#45;", "-")
    assert found.snapshot in text


def test_a_card_of_a_run_that_nobody_evaluated_says_so(ended: Workspace) -> None:
    run = next(ended.runs.iterdir())
    assert "| Pictures audited | **not evidenced** |" in card_text(ended, run.name)


def test_a_bundle_has_the_record_its_statement_and_its_proof(bundle: Path) -> None:
    for name in ("evidence/drawn.json", "evidence/drawn.sigstore.json", "ledger/drawn.leaf"):
        assert (bundle / name).is_file()
    assert [check for check in verify_bundle(bundle) if check.status] == []


def _shell(bundle: Path) -> tuple[int, str]:
    command = ["/bin/sh", str(bundle / "verify.sh"), str(bundle)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_foreign_tools_check_the_record_too(bundle: Path, tmp_path: Path) -> None:
    status, said = _shell(bundle)
    assert status == 0, said
    assert "evidence/drawn.sigstore.json: signed by keys/auditor-" in said
    assert "ledger/drawn.leaf: act " in said
    altered = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    _better(altered)
    signer = Keyring(bundle.parent / ".pramana" / "keys").signer("card")
    write_whole(altered / SUMS, listing(altered))
    write_whole(
        altered / CARD_STATEMENT, sign(signed_listing((altered / SUMS).read_bytes()), signer)
    )
    status, said = _shell(altered)
    assert status == 4
    assert "the auditor signed for another drawn.json" in said


def _better(bundle: Path) -> None:
    path = bundle / "evidence/drawn.json"
    path.write_bytes(path.read_bytes().replace(b'"estimate":0.5', b'"estimate":0.0'))


def _no_proof(bundle: Path) -> None:
    (bundle / "ledger/drawn.leaf").unlink()


@pytest.mark.parametrize(
    ("attack", "noticed"),
    [
        (_better, {"files": 4, "audits": 4, "ledger": 4, "card": 4}),
        (_no_proof, {"files": 4, "audits": 0, "ledger": 5, "card": 0}),
    ],
    ids=["better figures", "no proof"],
)
def test_a_bundle_that_was_altered_does_not_verify(
    bundle: Path, tmp_path: Path, attack, noticed: dict[str, int]
) -> None:
    altered = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    attack(altered)
    found = {check.what.partition(":")[0]: check.status for check in verify_bundle(altered)}
    assert {name: found[name] for name in noticed} == noticed


def test_the_screen_of_a_run_shows_figures_and_no_picture(evaluated) -> None:
    workspace, found = evaluated
    rows = drawn_rows(workspace, found.run)
    assert [row.what for row in rows] == [figure.name for figure in found.figures]
    copied = next(row for row in rows if row.what == "the bytes or pixels of a training picture")
    assert (copied.share, copied.interval, copied.pictures) == ("50.0 %", "9.5 % to 90.5 %", 2)


def test_the_screen_of_a_run_that_nobody_evaluated_names_the_verb(
    ended: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRAMANA_WORKSPACE", str(ended.folder))
    screen = AppTest.from_file(PAGES, default_timeout=30).run().switch_page("card.py").run()
    assert not screen.exception
    run = next(ended.runs.iterdir()).name
    assert f"pramana evaluate {run}" in [code.value for code in screen.code]
