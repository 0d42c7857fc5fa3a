"""Attacks through what is shown: what a terminal, a spreadsheet or a page would run.

Does not see: a browser. The screens are driven in one by their own test.
"""

import csv
import io
import unicodedata
from pathlib import Path
from typing import Final

from app.redteam.attack import Attack, Unharmed, Victim
from app.redteam.ground import HOSTILE
from app.redteam.scratch import Scratch
from governance.cards.bundle import CARD

TEXT: Final = "what a dataset says is shown as text: nothing runs it, and nothing is fetched for it"
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # Source: OWASP, CSV injection
ACTIVE: Final = ("<img", "](http", "onerror", "\x1b", "\u202e")


def _in_sheets(scratch: Scratch) -> Victim:
    """Name authors and files as formulas, and have the reports opened in a spreadsheet."""
    from app.reports import write_reports  # noqa: PLC0415  heavy

    audited, out = scratch.audit(), scratch.folder / "reports"

    def victim() -> object:
        write_reports(out, audited)
        cells = [cell for path in sorted(out.rglob("*.csv")) for cell in _cells(path)]
        bad = [cell for cell in cells if cell.startswith(FORMULA) or _controls(cell)]
        told = f"{len(cells)} cells, none begins a formula, none holds a control character"
        return None if bad or not _says(cells, "cmd|") else Unharmed(told)

    return victim


def _in_a_terminal(scratch: Scratch) -> Victim:
    """Name files with escape sequences, and have the audit printed and its exclusions listed."""
    from rich.console import Console  # noqa: PLC0415  heavy

    from app import report, view  # noqa: PLC0415  heavy

    audited = scratch.audit()

    def victim() -> object:
        console = Console(file=io.StringIO(), color_system=None, width=200)
        report.print_audit(console, audited)
        printed = console.file.getvalue() if isinstance(console.file, io.StringIO) else "\x1b"
        shown = view.excluded(scratch.workspace, audited.decision)
        rows = [str(row) for row in view.excluded_rows(shown)[1]]
        lines = [*printed.splitlines(), report.audit_json(scratch.workspace, audited), *rows]
        bad = any(map(_controls, lines)) or not _says(rows, "=1+")
        return None if bad else Unharmed(f"{len(lines)} lines, no control character")

    return victim


def _on_a_page(scratch: Scratch) -> Victim:
    """Write captions in HTML and Markdown, and have the card shown."""

    def victim() -> object:
        card = (scratch.bundle / CARD).read_text()
        bad = any(active in card for active in ACTIVE) or any(text in card for text in HOSTILE)
        return None if bad else Unharmed("the card repeats none of it")

    return victim


def _cells(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [cell for row in csv.reader(stream) for cell in row]


def _controls(text: str) -> bool:
    return any(unicodedata.category(letter) in {"Cc", "Cf"} for letter in text)


def _says(texts: list[str], word: str) -> bool:
    """Say whether the hostile word came this far, or nothing was shown by its absence."""
    return any(word in text for text in texts)


ATTACKS: Final = (
    Attack(
        name="authors are formulas, and a sheet is opened", threat="escapes in captions",
        holds=TEXT, act=_in_sheets,
    ),
    Attack(
        name="file names are escape sequences, and an audit is printed",
        threat="escapes in captions", holds=TEXT, act=_in_a_terminal,
    ),
    Attack(
        name="captions are HTML and Markdown, and a card is shown", threat="escapes in captions",
        holds=TEXT, act=_on_a_page, ground="finished",
    ),
)  # fmt: skip
