"""Clocks: by when somebody who withdraws data is owed an answer, and what says so.

The day is the earliest of the operator's own choice and of every period that some law gives, in
force or not: which of them binds is for counsel, and none is missed by keeping the shortest.

Does not see: who the person is, which law applies to the operator, or when a request really came.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from governance.errors import UsageError

LONGEST_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A period that somebody set. `days` None is a calendar month; `since` ISO 8601 or ''."""

    source: str
    said: str
    days: int | None = None
    since: str = ""


# As of 22 November 2026. G.S.R. 846(E) can be read as 13 or 14 May 2027; the earlier day is kept.
LAW: Final = (
    Clock(source="GDPR Art. 12(3)", said="one month from receipt", since="2018-05-25"),
    Clock(
        source="DPDP Rules 2025, Rule 14",
        said="a grievance within 90 days",
        days=90,
        since="2027-05-13",
    ),
)
WITHOUT_DAYS: Final = (
    (
        "DPDP Act 2023 s.6(6): stop within a reasonable time once consent is withdrawn; s.8(7): "
        "erase, unless a law asks to keep it; from 2027-05-13. What was done before stays lawful "
        "(s.6(5))."
    ),
    (
        "DPDP Rules 2025, Rule 8(3): keep personal data and logs for a year; from 2027-05-13. How "
        "that goes with erasure is disputed: ask counsel, and see --keep-keys."
    ),
)


def due_on(received: date, own_days: int) -> tuple[date, str]:
    """Return the day by which an answer is due, and what says so.

    Args:
        received: when the request came.
        own_days: the operator's own choice; 0 when none was declared.

    Raises:
        UsageError: the choice is below 0 or above a year.
    """
    if not 0 <= own_days <= LONGEST_DAYS:
        raise UsageError(f"rights_days is {own_days}; allowed are 1 to {LONGEST_DAYS}, or 0.")
    clocks = list(LAW)
    if own_days:
        own = Clock(source="rights_days", said=f"{own_days} days, our choice", days=own_days)
        clocks.insert(0, own)
    day, clock = min(((_end(received, c), c) for c in clocks), key=lambda pair: pair[0])
    return day, f"{clock.source}: {clock.said}"


def clock_lines(today: date) -> Iterator[str]:
    """Yield what each law asks, and whether it is in force."""
    for clock in LAW:
        state = "in force" if clock.since <= today.isoformat() else f"from {clock.since}"
        yield f"{clock.source}: {clock.said}; {state}, where it applies."
    yield from WITHOUT_DAYS


def _end(received: date, clock: Clock) -> date:
    """Return the last day. Source of a month's end: Regulation (EEC) 1182/71 Art. 3(2)(c)."""
    if clock.days is not None:
        return received + timedelta(days=clock.days)
    year, month = divmod(received.year * 12 + received.month, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(received.day, last))
