"""Waivers as people read them: rows for the command line, the report and the screens.

Pure, as `app.view` is. People stand in a row by their role only. Reasons are hostile as captions
are: they stay plain text.

Does not see: whether a reason is a good one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.view import minute, short
from governance.canon import printable
from governance.waiving.approvals import State, Waiver
from governance.waiving.waived import Standing
from governance.waiving.waivers import SAMPLES, Request

SOON_DAYS = 14  # what ends so soon is shown first
STATES: Final[Mapping[State, str]] = {
    "requested": "○ requested", "active": "◐ active", "expired": "· expired",
    "rejected": "✕ rejected", "revoked": "✕ revoked",
}  # fmt: skip
BROKEN: Final = "✕ does not hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverRow:
    """One waiver. `days_left` is whole days, 0 on its last and once it is over."""

    id: str
    rule: str
    state: str
    what: str
    approved: str = ""
    wanting: str = ""
    days_left: int = 0
    ends: str = ""
    by: str = ""
    reason: str = ""
    measure: str = ""
    before: int = 0
    command: str = ""
    soon: bool = False


def waiver_rows(found: Sequence[Standing], now: datetime) -> list[WaiverRow]:
    """Return the waivers: what ends within 14 days first, then what waits, is active, is over."""
    order = [*STATES.values(), BROKEN]
    rows = [_row(standing, now) for standing in found]
    return sorted(rows, key=lambda row: (not row.soon, order.index(row.state), row.days_left))


def waiver_lines(rows: Sequence[WaiverRow]) -> list[str]:
    """Return lines about each waiver, for the command line."""
    lines: list[str] = []
    for row in rows:
        lines += [
            f"{short(row.id)}  {row.state:11}  {row.rule}  {row.what}",
            f"              approved {row.approved}"
            + (f", {row.wanting}" if row.wanting else "")
            + (f" ({row.by})" if row.by else "")
            + f" · ends {row.ends}, {row.days_left} days left · {row.before} granted before",
            f"              {row.reason} · instead: {row.measure}",
        ]
        if row.command:
            lines.append(f"              {row.command}")
    return lines or ["Nobody asked for a waiver."]


def waived_lines(waivers: Iterable[Waiver]) -> list[str]:
    """Return a line on each waiver a verdict stands on: what, by which roles, until when, why."""
    return [
        f"◐ {w.request.rule}: {_what(w.request)} set aside by {', '.join(w.roles)} until "
        f"{minute(w.request.ends_at)}: {printable(w.request.reason)}; instead: "
        f"{printable(w.request.measure)} (waiver {short(w.id)})"
        for w in waivers
    ]


def _row(standing: Standing, now: datetime) -> WaiverRow:
    waiver, told = standing.waiver, standing.told.body
    rule = f"{told['policy']}/{told['rule']}"
    if waiver is None:
        what, problem = f"{told['count']} samples", printable(standing.problem)
        return WaiverRow(id=standing.id, rule=rule, state=BROKEN, what=what, reason=problem)
    asked, state = waiver.request, waiver.state(now)
    lives = state in {"requested", "active"}
    return WaiverRow(
        id=standing.id,
        rule=rule,
        state=STATES[state],
        approved=f"{len(waiver.approvals)} of {waiver.clause.quorum}",
        wanting=waiver.wanting if state == "requested" else "",
        days_left=max((waiver.ends_at - now).days, 0),
        ends=minute(asked.ends_at),
        what=_what(asked),
        by=", ".join(waiver.roles),
        reason=printable(asked.reason),
        measure=printable(asked.measure),
        before=asked.renewals,
        command=f"pramana waiver approve {short(waiver.id)} --key YOUR-KEY.pem"
        if state == "requested"
        else "",
        soon=lives and waiver.ends_at - now <= timedelta(days=SOON_DAYS),
    )


def _what(asked: Request) -> str:
    return f"{asked.count:,} samples" if asked.about == SAMPLES else "the whole snapshot"
