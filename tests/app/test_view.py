"""Rows for people: right counts, plain words, and no row from bytes that do not hold."""

import base64
import json
import subprocess
import sys
from typing import get_args

import pyarrow.parquet as pq
import pytest

from app import runs, view
from governance.errors import EvidenceMissing, Tampered
from governance.records import RuleStatus, Verdict
from governance.trail import merkle
from governance.trail.note import open_note
from governance.workspace import Workspace


def test_the_latest_decision_stands_first_with_its_verdict_in_a_word_and_a_sign(workspace):
    rows = view.decisions(workspace.ledger)
    assert [row.verdict for row in rows] == ["✓ PASS", "✕ BLOCK"]
    assert rows[0].id == workspace.latest_decision().id
    assert rows[0].at == "23 Nov 2026, 09:31 UTC"


def test_a_decision_made_again_stands_once_at_its_later_time(copy):
    rows = view.decisions(copy.ledger)
    copy.ledger.append("decided", {"decision": rows[1].id, "verdict": "block"})
    assert [row.id for row in view.decisions(copy.ledger)] == [rows[1].id, rows[0].id]


def test_every_verdict_and_every_status_has_a_sign_and_a_word():
    assert set(view.VERDICTS) == set(get_args(Verdict))
    assert set(view.STATUSES) == set(get_args(RuleStatus))
    signs = [sign for sign, *_ in view.VERDICTS.values()]
    assert len(set(signs)) == len(signs)
    statuses = list(view.STATUSES.values())
    assert len({text[0] for text in statuses}) == len(statuses)


def test_a_block_names_the_rules_in_the_way_and_puts_them_first(workspace):
    blocked = workspace.decision(view.decisions(workspace.ledger)[1].id)
    said = view.summary(blocked)
    assert (said.word, said.tone) == ("BLOCK", "red")
    assert said.sentence == "Nothing may be trained on. In the way: COM-PERSONAL-NUMBER."
    assert view.rule_rows(blocked)[0].id == "COM-PERSONAL-NUMBER"


def test_a_pass_says_how_many_samples_of_how_many(workspace):
    decision = workspace.latest_decision()
    said = view.summary(decision)
    assert said.sentence == f"{decision.cleared} of 480 samples may be trained on."
    assert said.cleared + said.excluded == said.samples == 480
    assert said.policies == "commercial 1, dpdp 1"


def test_a_rule_not_in_force_says_from_when_and_takes_nothing_out(workspace):
    decision = workspace.latest_decision()
    [later] = [row for row in view.rule_rows(decision) if row.in_force_from != "now"]
    assert (later.status, later.in_force_from) == ("○ not in force yet", "2027-05-13")
    assert later.violations == 31
    assert later.id not in {row.rule for row in view.drops(view.excluded(workspace, decision))}


def test_the_rules_that_took_samples_out_count_as_the_table_and_the_decision_do(workspace):
    decision = workspace.latest_decision()
    table = view.excluded(workspace, decision)
    said = {rule.id: rule.violations for rule in decision.rules}
    rows = view.drops(table)
    assert [row.samples for row in rows] == sorted((row.samples for row in rows), reverse=True)
    for row in rows:
        assert view.excluded_rows(table, rules=[row.rule])[0] == row.samples == said[row.rule] > 0
    assert len({row.id for row in view.excluded_rows(table, limit=999)[1]}) == decision.excluded


def test_pages_of_excluded_samples_follow_each_other(workspace):
    table = view.excluded(workspace, workspace.latest_decision())
    total, everything = view.excluded_rows(table, limit=999)
    pages = [view.excluded_rows(table, start=at, limit=20)[1] for at in range(0, total, 20)]
    assert [row for page in pages for row in page] == everything
    assert total == table.num_rows


def test_an_altered_table_of_excluded_samples_is_not_shown(copy):
    decision = copy.latest_decision()
    folder = copy.decision_folder(decision.id)
    table = view.excluded(copy, decision)
    pq.write_table(table.slice(1), folder / view.EXCLUDED_FILE)
    with pytest.raises(Tampered, match="not those the ledger recorded"):
        view.excluded(copy, decision)
    (folder / view.EXCLUDED_FILE).unlink()
    with pytest.raises(EvidenceMissing):
        view.excluded(copy, decision)


def test_the_trail_runs_backwards_and_shortens_digests(workspace):
    rows = view.trail(workspace.ledger)
    assert [row.number for row in rows] == list(range(len(rows)))[::-1]
    assert rows[-1].kind == "sealed"
    snapshot = workspace.latest_decision().snapshot
    assert rows[-1].what == f"samples 480  ·  snapshot {snapshot[:12]}"
    assert rows[-4].what.startswith("verdict block  ·  ")
    assert f"·  decision {workspace.ledger.entry(3).body['decision'][:12]}  ·" in rows[-4].what
    assert rows[-1].at == "2026-11-23 09:30:17"


def test_every_act_has_a_proof_that_a_stranger_can_check(workspace):
    log = workspace.keyring.trust().of("log")
    for row in view.trail(workspace.ledger):
        head, _, note = view.proof(workspace.ledger, row.number).partition("\n\n")
        kind, extra, index, *steps = head.split("\n")
        leaf = base64.b64decode(extra.removeprefix("extra "))
        assert (kind, index) == ("c2sp.org/tlog-proof@v1", f"index {row.number}")
        assert json.loads(leaf)["kind"] == row.kind
        checkpoint = open_note(note, log)
        merkle.check_inclusion(
            merkle.leaf_hash(leaf),
            index=row.number,
            size=checkpoint.size,
            proof=[base64.b64decode(step) for step in steps],
            expected_root=checkpoint.root,
        )


def test_an_act_that_is_not_there_has_no_proof(workspace):
    with pytest.raises(EvidenceMissing, match="no entry 999"):
        view.proof(workspace.ledger, 999)


def test_looking_at_an_empty_folder_makes_nothing_in_it(tmp_path):
    assert not view.is_started(Workspace(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_no_row_of_a_decision_holds_a_caption(build, tmp_path):
    place = build(tmp_path, hostile="SECRET-CAPTION")
    decision = place.latest_decision()
    shown = (
        view.trail(place.ledger),
        view.rule_rows(decision),
        view.excluded_rows(view.excluded(place, decision), limit=999),
        runs.run_rows(place),
    )
    assert "a red circle" not in repr(shown)


def test_view_needs_neither_streamlit_nor_pandas_nor_torch():
    heavy = "{'streamlit', 'pandas', 'torch', 'altair', 'duckdb'}"
    code = f"import sys, app.view; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
