"""What the command line prints of an audit: verdict, rules and reasons, or one JSON object.

Ids and names come from datasets: they are printed as text, without control characters or markup.
"""

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import view
from app.workflow import Audited
from governance.note import open_note
from governance.workspace import Workspace

COLOURS = {"green": "green", "orange": "yellow", "red": "red"}


def audit_json(workspace: Workspace, audited: Audited) -> str:
    """Return an audit as one JSON object on one line."""
    decision, ledger = audited.decision, workspace.ledger
    head = open_note(ledger.note(), ledger.keys)
    rules = [
        {
            "id": r.id, "on": r.on, "violations": r.violations, "remedy": r.remedy,
            "status": r.status, "policy": r.policy, "in_force_from": r.in_force_from,
        }
        for r in decision.rules
    ]  # fmt: skip
    findings = [
        {"audit": f.audit, "name": f.name, "value": f.value, "low": f.low, "high": f.high,
         "ids": list(f.ids), "note": f.note}
        for f in audited.findings
    ]  # fmt: skip
    return json.dumps(
        {
            "snapshot": audited.snapshot.root,
            "samples": audited.snapshot.samples,
            "findings": findings,
            "decision": {
                "id": decision.id, "verdict": decision.verdict, "as_of": decision.as_of,
                "cleared": decision.cleared, "excluded": decision.excluded, "rules": rules,
            },
            "ledger": {"size": head.size, "root": head.root.hex()},
        },
        ensure_ascii=False,
    )  # fmt: skip


def print_audit(console: Console, audited: Audited) -> None:
    """Print the verdict and every rule that has something to say."""
    summary = view.summary(audited.decision)
    style = f"bold {COLOURS[summary.tone]}"
    console.print()
    console.print(Text(f"{summary.symbol} {summary.word}", style=style), summary.sentence)
    console.print(
        f"snapshot {view.short(audited.snapshot.root)} · {summary.samples:,} samples · "
        f"{summary.cleared:,} cleared · {summary.excluded:,} excluded · "
        f"law as of {summary.as_of} · {summary.policies}",
        style="dim",
        markup=False,
    )
    spoken = [row for row in view.rule_rows(audited.decision) if row.violations]
    console.print(_rules(spoken))


def _rules(rows: Sequence[view.RuleRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("violations", justify="right")
    table.add_column("remedy")
    table.add_column("in force")
    table.add_column("why", overflow="fold")
    for row in rows:
        table.add_row(
            row.id, row.status, f"{row.violations:,}", row.remedy, row.in_force_from,
            Text(row.detail or row.why),
        )  # fmt: skip
    return table
