"""What the command line prints of an audit: verdict, rules and reasons, or one JSON object.

Ids and names come from datasets: they are printed as text, without control characters or markup.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import found, view
from app.waiver_rows import waived_lines
from app.workflow import Audited
from governance.records import RuleResult, json_object
from governance.trail.note import open_note
from governance.workspace import Workspace

COLOURS = {"green": "green", "orange": "yellow", "red": "red"}
DOES = {
    "block": "✕ blocks",
    "exclude": "- excludes",
    "quarantine": "- sets aside",
    "record": "· notes",
}


def audit_json(workspace: Workspace, audited: Audited) -> str:
    """Return an audit as one JSON object on one line."""
    decision, ledger = audited.decision, workspace.ledger
    head = open_note(ledger.note(), ledger.keys)
    rules = [
        {
            "id": r.id, "on": r.on, "violations": r.violations, "remedy": r.remedy,
            "status": r.status, "policy": r.policy, "in_force_from": r.in_force_from,
            "waived": r.waived,
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
            "left_out": audited.left_out,
            "findings": findings,
            "decision": {
                "id": decision.id, "verdict": decision.verdict, "as_of": decision.as_of,
                "cleared": decision.cleared, "excluded": decision.excluded, "rules": rules,
            },
            "waivers": [waiver.to_json() for waiver in audited.waivers],
            "waivers_without_effect": audited.idle,
            "ledger": {"size": head.size, "root": head.root.hex()},
        },
        ensure_ascii=False,
    )  # fmt: skip


def print_audit(console: Console, audited: Audited) -> None:
    """Print the verdict, and each rule that something violates, now or from a later day."""
    decision = audited.decision
    summary = view.summary(decision)
    packs = ", ".join(dict.fromkeys(rule.policy for rule in decision.rules))
    style = f"bold {COLOURS[summary.tone]}"
    console.print(
        Text.assemble("\n", (f"{summary.symbol} {summary.word}", style), "  ", summary.sentence)
    )
    console.print(
        f"{summary.samples:,} samples, {summary.cleared:,} cleared, {summary.excluded:,} excluded; "
        f"judged by {packs} as of {summary.as_of}; snapshot {view.short(audited.snapshot.root)}",
        style="dim",
        highlight=False,
        markup=False,
    )
    if audited.left_out:
        console.print(
            f"{audited.left_out:,} samples of the sources were withdrawn and left out.", style="dim"
        )
    for line in (*waived_lines(audited.waivers), *audited.idle):
        console.print(Text(line, style="yellow" if line[0] == "◐" else "dim"))
    if violated := [rule for rule in decision.rules if rule.violations]:
        console.print(_rules(violated))
    if told := found.headlines(audited.findings):
        console.print(_findings(told))
        console.print(
            f'{len(audited.findings):,} findings in all; pramana audit --explain "{told[0].key}" '
            "says how one was come by.",
            style="dim",
            highlight=False,
            markup=False,
        )


def print_explained(console: Console, workspace: Workspace, name: str) -> None:
    """Print one finding of the latest decision, and how it was come by.

    Raises:
        EvidenceMissing: nothing was audited yet, or nobody wrote the method down.
        UsageError: no finding, or more than one, has such a name.
    """
    row, method = found.explained(found.findings(workspace, workspace.latest_decision()), name)
    console.print(Text(f"\n{row.key}", style="bold"))
    said = {
        "found": f"{row.value}{f' ({row.interval} at 95 %)' if row.interval else ''}",
        "samples": f"{row.samples:,} named",
        "note": row.note,
        "measured": method.measured,
        "how": method.how,
        "library": method.stands_on,
        "cannot see": method.cannot_see,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column("", style="dim", no_wrap=True)
    table.add_column("", overflow="fold")
    for label, text in said.items():
        if text:
            table.add_row(label, Text(text.strip()))
    console.print(table)


def scores(run: Path) -> list[str]:
    """Return what the run's evaluation measured, a line a share; nothing where it asked nothing."""
    path = run / "evaluation.json"
    if not path.is_file():
        return []
    evaluated = json_object(path.read_bytes(), "an evaluation")
    return [
        f"{name.replace('_', ' ')} right on {held['asked']} prompts no caption named: "
        f"{held['share']:.2f} (95 % interval {held['low']:.2f} to {held['high']:.2f})"
        for name, held in evaluated.items()
        if isinstance(held, dict) and {"asked", "share", "low", "high"} <= set(held)
    ]


def _rules(rules: Sequence[RuleResult]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("rule", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for rule in sorted(rules, key=lambda r: (r.status == "not-in-force", r.remedy != "block")):
        later = rule.status == "not-in-force"
        does = f"from {rule.in_force_from}" if later else DOES.get(rule.remedy, rule.remedy)
        style = "dim" if later else "red" if rule.remedy == "block" else ""
        why = Text(_first_clause(rule.why))
        table.add_row(does, rule.id, f"{rule.violations:,}", why, style=style)
    return table


def _findings(rows: Sequence[found.FindingRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("audit", no_wrap=True)
    table.add_column("finding", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    for row in rows:
        table.add_row(row.audit, Text(row.name), row.value, row.interval)
    return table


def _first_clause(why: str) -> str:
    """Return why up to its first stop; the screens and `--json` have the rest."""
    return re.split(r"[;:.](?:\s|$)", why, maxsplit=1)[0]
