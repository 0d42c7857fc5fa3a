"""The demo: the whole path on 2,000 scenes made here, in about four minutes on two cores.

It plants problems whose truth it knows, shows the gate refusing with reasons, mends at the source
what only a person may decide, clears, trains, draws, and writes a card that it then verifies.

Does not see: real photographs. A model that learns coloured shapes in a minute proves the path,
not its quality on anything else.
"""

import os
import shutil
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from app import planted, progress, report, workflow
from app.planted import Problem
from app.view import excluded
from app.workflow import Audited
from governance.canon import write_whole
from governance.cards.verification import verify_bundle
from governance.errors import PramanaError, UsageError
from governance.trail.memory import Memory
from governance.workspace import Workspace

PACKS = ("commercial", "dpdp")
MARK = ".pramana-demo"  # only a folder with this file is ever removed
LATER = date(2027, 6, 1)  # after the DPDP Act's main duties begin
DECLARED = """\
operator = "The Pramana demo"
contact = "nobody@example.invalid"
country = "IN"
storage_region = "IN"
compute_region = "IN"
"""


def show(out: Path, *, minutes: float) -> None:
    """Run the demo in a folder, which is made anew. Raises what any step raises."""
    began = time.monotonic()
    console = Console()
    workspace, problems = _prepare(console, out)
    source, mended = out / "scenes", out / "scenes-corrected"

    _step(console, "Nothing is proved yet, so nothing trains")
    _train_refused(console, workspace, minutes)

    _step(console, "Audit the dataset under two policies: commercial and dpdp")
    _audit(console, workspace, source, datetime.now(UTC).date())
    _train_refused(console, workspace, minutes)

    _step(
        console, "Mend at the source what no filter may decide: numbers of persons, places abroad"
    )
    planted.corrected(source, mended, problems)
    console.print(f"wrote {mended}")

    _step(console, f"The corrected dataset, under the law of {LATER}")
    _audit(console, workspace, mended, LATER)

    _step(console, "And under the law of today")
    audited = _audit(console, workspace, mended, datetime.now(UTC).date())
    console.print(_found(workspace, audited, problems))

    _step(console, f"Train on exactly what was cleared, for {minutes * 60:.0f} seconds")
    with progress.shown() as bars:
        folder, result = workflow.train(
            workspace, preset="micro", budget_s=60 * minutes, started_at=time.time(), bars=bars
        )
    console.print(f"run {folder.name}: {result.summary()}", markup=False)
    for line in report.scores(folder):
        console.print(line, markup=False)

    _step(console, "Write the card, and verify it as an outsider would")
    bundle = workflow.export_card(workspace, folder.name, out / "card")
    checks = verify_bundle(bundle, workspace.keyring.trust())
    for check in checks:
        console.print(f"{'✕' if check.status else '✓'} {check.what} {check.detail}", markup=False)
    if any(check.status for check in checks):
        raise PramanaError("The demo's own bundle does not verify; this is a fault of ours.")
    console.print(f"\nDone in {time.monotonic() - began:.0f} s. Look at:", style="bold")
    console.print(f"  {folder / 'samples.png'}\n  {bundle / 'README.md'}", markup=False)
    console.print("Try next:", style="bold")
    command = "pramana" if shutil.which("pramana") else os.path.relpath(sys.argv[0])
    for line in (
        f"{command} --workspace {out} review",
        f"{command} verify {bundle}",
        f"{command} --workspace {out} audit {mended} --policy commercial --policy dpdp --json",
    ):
        console.print(f"  {line}", markup=False, soft_wrap=True)


def _prepare(console: Console, out: Path) -> tuple[Workspace, tuple[Problem, ...]]:
    """Make the folder anew; never one that the demo did not make. Raises UsageError."""
    if out.exists() and any(out.iterdir()) and not (out / MARK).is_file():
        raise UsageError(f"{out} is not the demo's own folder; name another with --out.")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    Memory.of(out).forget()
    write_whole(out / MARK, b"made by `pramana demo`; made anew by the next one\n")
    write_whole(out / "pramana.toml", DECLARED.encode())
    _step(console, f"Make {planted.SAMPLES:,} captioned scenes, and plant problems in them")
    problems = planted.make(out / "scenes")
    for problem in problems:
        console.print(f"  {len(problem.files):>3} x {problem.name}", markup=False)
    return Workspace.at(out), problems


def _audit(console: Console, workspace: Workspace, source: Path, as_of: date) -> Audited:
    with progress.shown() as bars:
        audited = workflow.audit(workspace, [str(source)], packs=PACKS, as_of=as_of, bars=bars)
    report.print_audit(console, audited)
    return audited


def _train_refused(console: Console, workspace: Workspace, minutes: float) -> None:
    """Ask to train where it must be refused, and print the sentence. Raises when it is not."""
    try:
        with progress.shown() as bars:
            workflow.train(
                workspace, preset="micro", budget_s=60 * minutes, started_at=time.time(), bars=bars
            )
    except PramanaError as refusal:
        console.print(f"$ pramana train --minutes {minutes:g}", style="dim")
        console.print(f"✕ {refusal} (exit status {refusal.status})", markup=False, style="red")
        return
    raise PramanaError("Training began where it had to be refused; this is a fault of ours.")


def _found(workspace: Workspace, audited: Audited, problems: tuple[Problem, ...]) -> Table:
    """Return a table of what was planted, and what became of it."""
    answered: dict[str, set[str]] = {}
    for row in excluded(workspace, audited.decision).to_pylist():
        answered.setdefault(row["rule"], set()).add(Path(row["id"]).name)
    rules = {rule.id: rule for rule in audited.decision.rules}
    table = Table("", "planted", "rule that answers", "what became of it", box=box.SIMPLE_HEAD)
    for problem in problems:
        rule = rules[problem.rule]
        taken = len(set(problem.files) & answered.get(rule.id, set()))
        if rule.status == "not-in-force":
            became = f"no rule until {rule.in_force_from}; counted already"
        elif rule.remedy == "block":
            became = "refused, then mended at the source"
        else:
            became = f"{taken} taken out by this rule"
        table.add_row(str(len(problem.files)), problem.name, problem.rule, became)
    planted_in = {name for problem in problems for name in problem.files}
    others = set().union(*answered.values()) - planted_in
    table.add_row("-", "nothing", "any", f"{len(others)} taken out all the same")
    return table


def _step(console: Console, text: str) -> None:
    console.print()
    console.rule(text, align="left", style="cyan")
