"""Places: the country that a provider's region, or a country by its name, lies in.

The table `reference/regions.csv` is keyed by provider and region; each row has its source, how sure
we are of it, and the day it was reviewed. A multi-region, a delivery network and a service whose
vendor chooses the place stand in it without a country: they have no single one.

Does not see: whether bytes lie where a name says, or what a provider changed since that day.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

COUNTRY: Final = "country"  # in place of a provider, in the rows that name a country
TABLE: Final = "reference/regions.csv"

_ZONE = re.compile(r"(?<=[0-9])-?[a-f]$")  # ap-south-1a and asia-south1-b are zones of a region
_PROVIDERS: Final = MappingProxyType({
    "amazon": "aws", "s3": "aws", "google": "gcp", "gcs": "gcp", "gs": "gcp", "microsoft": "azure",
    "oracle": "oci", "hf": "huggingface",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A row of the table. `country` is ISO 3166-1 alpha-2, or '' of what has no single country."""

    provider: str
    region: str
    country: str
    source: str
    confidence: str
    reviewed_on: str


def country_of(region: str | None) -> str | None:
    """Return the ISO 3166-1 alpha-2 code of the country a region lies in.

    Reads 'aws:ap-south-1', 'gcs/asia-south1-b', 'ap-south-1', 'IN' and 'India'. A bare name counts
    where all providers that use it agree on the country; anything else is None.
    """
    found = {place.country for place in places_of(region) if place.country}
    return found.pop() if len(found) == 1 else None


def country_named(name: str | None) -> str | None:
    """Return the code of a country by its code or English name, never by a provider's region."""
    return country_of(f"{COUNTRY}:{(name or '').replace('/', ' ').replace(':', ' ')}")


def why_unknown(region: str | None) -> str:
    """Return why a region has no country, as the end of a sentence; '' where it has one."""
    if country_of(region):
        return ""
    found = places_of(region)
    if len({place.country for place in found}) > 1:
        return "regions of several providers have this name, in several countries"
    return found[0].source if found else f"not in the table of regions of {reviewed_on()}"


def places_of(region: str | None) -> tuple[Place, ...]:
    """Return the rows that a region may be."""
    said = " ".join((region or "").casefold().replace("/", ":").split())
    if said in _table().get(COUNTRY, {}):
        return (_table()[COUNTRY][said],)
    apart = ":" if ":" in said else " "  # 'gcp asia-south1' too
    provider, _, name = said.rpartition(apart)
    provider, name = _PROVIDERS.get(provider.strip(), provider.strip()), name.strip()
    tables = [_table().get(provider, {})] if provider else _table().values()
    names = {name, _ZONE.sub("", name)}
    return tuple(table[name] for table in tables for name in sorted(names & table.keys()))


def reviewed_on() -> str:
    """Return the day of the table, YYYY-MM-DD."""
    return max(place.reviewed_on for table in _table().values() for place in table.values())


def table_bytes() -> bytes:
    """Return the table as it stands in the program."""
    return resources.files("governance").joinpath(*TABLE.split("/")).read_bytes()


@cache
def _table() -> dict[str, dict[str, Place]]:
    found: dict[str, dict[str, Place]] = {}
    for row in csv.DictReader(table_bytes().decode().splitlines()):
        found.setdefault(row["provider"], {})[row["region"]] = Place(**row)
    return found
