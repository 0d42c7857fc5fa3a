"""Reference data: what licences and generators' terms allow and ask; governance knows regions.

Two rules keep the tables safe to edit. Every row whose pattern matches counts and the strictest
decides, so the order of rows is nothing; and a row that permits spells the whole name, while one
that forbids may match any part of it.

Does not see: the licence itself. A row is our reading of a text, with its source and confidence.
"""

import csv
import fnmatch
import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from policies.rules import PACKAGED, Source, packaged

# Unknown is stricter than disputed: a person can weigh a disputed claim that somebody has read, but
# a waiver for it must not carry along a second claim that nobody has read.
USES: Final = ("permitted", "duties", "disputed", "unknown", "forbidden")
NONE: Final = "none"  # no generator is stated; a licence without duties
UNKNOWN_DUTIES: Final = frozenset({"unknown"})  # of a claim that no row knows
TABLES: Final = {
    "licences": "reference/licences.csv",
    "generators": "reference/generators.csv",
    "regions": "governance/reference/regions.csv",  # audits read it too
}

_EXPRESSION = re.compile(r"\s+(?:and|or)\s+|[()]")


def licence_use(claim: str | None) -> str:
    """Return what a licence claim allows for training a commercial model; one of `USES`.

    Of an expression with AND or OR every part counts and the strictest decides.
    """
    parts = [part.strip() for part in _EXPRESSION.split((claim or "").lower())]
    return strictest(_use("licences", part) for part in parts if part)


def licence_duties(claim: str | None) -> frozenset[str]:
    """Return what a licence claim asks for: 'attribution', 'notice', 'share-alike', or nothing.

    Of an expression the duties of every part count. Where one part is in no row, 'unknown' is
    among them: nobody has read what it asks for.
    """
    parts = [part.strip() for part in _EXPRESSION.split((claim or "").lower())]
    found = (_duties(part) for part in parts if part)
    return frozenset().union(*found) if any(parts) else UNKNOWN_DUTIES


def generator_use(generator: str | None) -> str:
    """Return what a generator's terms allow: one of `USES`, or 'none' where none is stated.

    Where several made it together, written with ' + ' between them, the strictest terms decide.
    """
    said = (generator or "").strip().lower()
    names = (re.sub(r"[^a-z0-9]+", "-", name).strip("-") for name in said.split(" + "))
    return strictest(_use("generators", name) for name in names) if said else NONE


def strictest(uses: Iterable[str]) -> str:
    """Return the strictest of some uses; 'unknown' of none."""
    return max(uses, key=USES.index, default="unknown")


def sources() -> tuple[Source, ...]:
    """Return the tables as texts that judge, for the decision to name and the store to keep."""
    return tuple(
        Source(
            id=f"reference/{table}",
            version=max(row["reviewed_on"] for row in _rows(table)),
            source=f"{PACKAGED}{path}",
            data=packaged(path),
        )
        for table, path in TABLES.items()
    )


@cache
def _rows(table: str) -> tuple[dict[str, str], ...]:
    text = packaged(TABLES[table]).decode()
    return tuple(csv.DictReader(text.splitlines()))


@cache
def _forms(table: str, use: str) -> re.Pattern[str]:
    globs = [row["pattern"] for row in _rows(table) if row["use"] == use]
    return re.compile("|".join(map(fnmatch.translate, globs)) or r"(?!)")


@cache
def _duty_forms() -> tuple[tuple[re.Pattern[str], frozenset[str]], ...]:
    return tuple(
        (re.compile(fnmatch.translate(row["pattern"])), frozenset(row["duties"].split()) - {NONE})
        for row in _rows("licences")
    )


def _duties(name: str) -> frozenset[str]:
    rows = [duties for form, duties in _duty_forms() if form.match(name)]
    return frozenset().union(*rows) if rows else UNKNOWN_DUTIES


def _use(table: str, name: str) -> str:
    return strictest(use for use in USES if _forms(table, use).match(name))
