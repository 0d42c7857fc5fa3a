"""Reference data: what licences and generators' terms allow, and which country a region lies in.

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
NONE: Final = "none"  # no generator is stated
TABLES: Final = ("licences", "generators", "regions")

_EXPRESSION = re.compile(r"\s+(?:and|or)\s+|[()]")
_ZONE = re.compile(r"(?<=[0-9])-?[a-f]$")  # ap-south-1a and asia-south1-b are zones of a region
_PROVIDERS: Final = {
    "amazon": "aws", "s3": "aws", "google": "gcp", "gcs": "gcp", "gs": "gcp", "microsoft": "azure",
    "oracle": "oci",
}  # fmt: skip


def licence_use(claim: str | None) -> str:
    """Return what a licence claim allows for training a commercial model; one of `USES`.

    Of an expression with AND or OR every part counts and the strictest decides.
    """
    parts = [part.strip() for part in _EXPRESSION.split((claim or "").lower())]
    return strictest(_use("licences", part) for part in parts if part)


def generator_use(generator: str | None) -> str:
    """Return what a generator's terms allow: one of `USES`, or 'none' where none is stated."""
    said = (generator or "").strip().lower()
    return _use("generators", re.sub(r"[^a-z0-9]+", "-", said).strip("-")) if said else NONE


def strictest(uses: Iterable[str]) -> str:
    """Return the strictest of some uses; 'unknown' of none."""
    return max(uses, key=USES.index, default="unknown")


def region_country(region: str | None) -> str | None:
    """Return the ISO 3166-1 alpha-2 code of the country a region lies in.

    Reads 'aws:ap-south-1', 'gcs/asia-south1-b', 'ap-south-1', 'IN' and 'India'. A bare name counts
    where all providers that use it agree on the country; anything else is None.
    """
    said = (region or "").strip().lower().replace("/", ":")
    provider, _, name = said.replace(" ", ":", 1).rpartition(":")
    found = _countries(_PROVIDERS.get(provider, provider), name)
    return found.pop() if len(found) == 1 else None


def sources() -> tuple[Source, ...]:
    """Return the tables as texts that judge, for the decision to name and the store to keep."""
    return tuple(
        Source(
            id=f"reference/{table}",
            version=max(row["reviewed_on"] for row in _rows(table)),
            source=f"{PACKAGED}reference/{table}.csv",
            data=packaged(f"reference/{table}.csv"),
        )
        for table in TABLES
    )


@cache
def _rows(table: str) -> tuple[dict[str, str], ...]:
    text = packaged(f"reference/{table}.csv").decode()
    return tuple(csv.DictReader(text.splitlines()))


@cache
def _forms(table: str, use: str) -> re.Pattern[str]:
    globs = [row["pattern"] for row in _rows(table) if row["use"] == use]
    return re.compile("|".join(map(fnmatch.translate, globs)) or r"(?!)")


def _use(table: str, name: str) -> str:
    return strictest(use for use in USES if _forms(table, use).match(name))


def _countries(provider: str, name: str) -> set[str]:
    names = {name, _ZONE.sub("", name)}
    rows = [row for row in _rows("regions") if row["region"] in names]
    return {row["country"] for row in rows if not provider or row["provider"] == provider}
