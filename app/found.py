"""Findings as people read them: rows by audit, headlines, and how one finding was come by.

Pure, as `app.view` is. Names and notes may repeat words of a dataset and are hostile; they stay
plain text.

Does not see: captions and pictures of the dataset.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.view import percent
from audits.methods import Method, method_of
from governance.canon import printable
from governance.cards.evidence import FINDINGS_FILE, Evidence
from governance.errors import EvidenceMissing, UsageError
from governance.records import Decision, Finding
from governance.workspace import Workspace

LONGEST = 80  # characters of a question that an error repeats
SOME = 12  # headlines of an audit; names offered where a question fits none or many


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """One finding as text; `share`, `low` and `high` (0..1) where it is a share."""

    audit: str
    name: str
    value: str
    interval: str
    samples: int
    note: str
    share: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def key(self) -> str:
        """The name by which a rule reads this finding and a person asks about it."""
        return f"{self.audit}/{self.name}"


def findings(workspace: Workspace, decision: Decision) -> list[Finding]:
    """Return the findings that a decision weighed. Raises EvidenceMissing, Tampered."""
    data = workspace.load(decision.findings, "the findings")
    return Evidence({FINDINGS_FILE: data}).findings()


def finding_rows(found: Sequence[Finding]) -> dict[str, list[FindingRow]]:
    """Return the findings by audit, in the order the audits gave them."""
    rows: dict[str, list[FindingRow]] = {}
    for finding in found:
        rows.setdefault(finding.audit, []).append(_finding_row(finding))
    return rows


def headlines(found: Sequence[Finding]) -> list[FindingRow]:
    """Return what a reader should see at once: some of each audit, of headline methods, not 0."""
    told = [_finding_row(f) for f in found if f.value and (how := method(f)) and how.headline]
    audits = dict.fromkeys(row.audit for row in told)
    return [row for audit in audits for row in [r for r in told if r.audit == audit][:SOME]]


def explained(found: Sequence[Finding], name: str) -> tuple[FindingRow, Method]:
    """Return the finding a person asked about, and how it was come by.

    Args:
        found: the findings of a decision.
        name: `audit/name`, `name`, or a part of it that only one finding has.

    Raises:
        UsageError: no finding, or more than one, has such a name.
        EvidenceMissing: nobody wrote its method down.
    """
    rows = [_finding_row(finding) for finding in found]
    matching = [row for row in rows if name in {row.key, row.name}] or [
        row for row in rows if name.casefold() in row.key.casefold()
    ]
    if len(matching) != 1:
        near = matching or [row for row in rows if row.audit == name.partition("/")[0]]
        some = "; ".join(row.key for row in near[:SOME]) or "none"
        raise UsageError(
            f"{len(matching)} findings are called {printable(name)[:LONGEST]!r}. "
            f"Give one of: {some}."
        )
    return matching[0], method_of(matching[0].audit, matching[0].name)


def method(finding: Finding | FindingRow) -> Method | None:
    """Return how a finding was come by, or None where nobody wrote it down."""
    try:
        return method_of(finding.audit, finding.name)
    except EvidenceMissing:
        return None


def _finding_row(finding: Finding) -> FindingRow:
    share, interval = _is_share(finding), ""
    if finding.low is not None and finding.high is not None:
        interval = f"{_shown(finding.low, share=share)} to {_shown(finding.high, share=share)}"
    return FindingRow(
        audit=finding.audit,
        name=printable(finding.name),
        value="not measured" if finding.value is None else _shown(finding.value, share=share),
        interval=interval,
        samples=len(finding.ids),
        note=printable(finding.note),
        share=finding.value if share else None,
        low=finding.low if share else None,
        high=finding.high if share else None,
    )


def _is_share(finding: Finding) -> bool:
    """Say whether a value is a share: its name says so, or its 95 % interval is one of a share."""
    unlike = re.search(r"npmi|\bscore\b", finding.name.lower())
    if finding.low is None or finding.high is None or unlike:
        return finding.name.split()[-1:] == ["share"] or finding.name.endswith("_share")
    return 0 <= finding.low <= finding.high <= 1


def _shown(value: float, *, share: bool) -> str:
    if share:
        return percent(value)
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"
