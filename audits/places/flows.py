"""Flows of the samples between countries, as far as records and the operator's word tell them.

From the country of the subject to where a sample is held, on to the stores, and from the stores to
copies, processors and compute; where no store is declared, from where the samples are held. An end
that nobody knows is named `unknown` and is outside every country.

Does not see: a place that nobody declared, a route between two places, or who controls a recipient.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from audits.settings import Label, Written
from governance.places import country_of, reviewed_on, why_unknown
from governance.records import Finding

UNKNOWN: Final = "unknown"
HELD: Final = "held"
NAMED: Final = 100  # flows that get a finding of their own
UNSEEN: Final = "No {} is declared in [audits.locality]; what is not declared is not seen."

Kind: TypeAlias = Literal["store", "copy", "processor", "compute"]
Held: TypeAlias = Mapping[tuple[str, str | None], int]  # samples by subject's country and region
Pair: TypeAlias = tuple[str, str, str]  # from, to, by way of
Told: TypeAlias = tuple[str, int, str]  # a finding's name, value and note


class Processor(Written):
    """Somebody who processes the data for the operator, and the contract under which."""

    name: Label
    purpose: Label
    region: Label | None = None
    contract: Label | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """A place the samples go to, as the operator declares it."""

    kind: Kind
    name: str
    region: str | None

    @property
    def country(self) -> str:
        """The country it lies in, or `unknown`."""
        return country_of(self.region) or UNKNOWN


def flows_of(held: Held, stops: Sequence[Stop]) -> dict[Pair, int]:
    """Return how many samples flow from one country to another, by way of what."""
    flows: Counter[Pair] = Counter()
    rest: Counter[str] = Counter()
    for (subject, region), count in held.items():
        country = country_of(region) or UNKNOWN
        flows[subject, country, HELD] += count
        rest[country] += count
    stores = [stop for stop in stops if stop.kind == "store"]
    total, before = sum(held.values()), rest
    for stop in stores:
        flows.update({(start, stop.country, _by(stop)): count for start, count in before.items()})
    if stores:
        rest = Counter({stop.country: total for stop in stores})
    for stop in stops:
        if stop.kind != "store":
            flows.update({(start, stop.country, _by(stop)): n for start, n in rest.items()})
    return dict(flows)


def findings_of(
    held: Held, stops: Sequence[Stop], processors: Sequence[Processor], *, audit: str, home: str
) -> Iterator[Finding]:
    """Yield each flow with its number of samples, and what rules ask about all of them.

    Args:
        held: the samples, by their subject's country and their region.
        stops: where they go.
        processors: who processes them.
        audit: whose findings these are.
        home: the country that an end may lie outside of.
    """
    flows = flows_of(held, stops)
    told: list[Told] = [
        *_largest(flows, stops),
        (f"flows outside {home}", sum(end != home for _, end, _ in flows), ""),
        _outside(stops, home),
        _unknown(held, stops),
        _without_contract(processors),
    ]
    table = f"Countries by the table of regions of {reviewed_on()}."
    for name, value, note in told:
        yield Finding(audit=audit, name=name, value=value, note=note or table)


def _largest(flows: Mapping[Pair, int], stops: Sequence[Stop]) -> Iterator[Told]:
    why = {_by(stop): why_unknown(stop.region) for stop in stops}
    ordered = sorted(flows.items(), key=lambda flow: (-flow[1], flow[0]))
    for (start, end, by), count in ordered[:NAMED]:
        yield f"flow {start} -> {end} ({by})", count, f"{by}: {why[by]}." if why.get(by) else ""
    if len(ordered) > NAMED:
        yield "flows not listed", len(ordered) - NAMED, ""


def _outside(stops: Sequence[Stop], home: str) -> Told:
    away = [stop for stop in stops if stop.country != home]
    note = _listed(away) if stops else UNSEEN.format("store, copy, processor or compute")
    return f"declared places outside {home}", len(away), note


def _unknown(held: Held, stops: Sequence[Stop]) -> Told:
    lost = [stop for stop in stops if stop.country == UNKNOWN]
    odd = {region or "" for _, region in held if country_of(region) is None}
    first = f"A sample's region: {why_unknown(min(odd))}." if odd else ""
    return "unknown places", len(odd) + len(lost), " ".join(filter(None, [_listed(lost), first]))


def _without_contract(processors: Sequence[Processor]) -> Told:
    bare = [Stop("processor", one.name, one.region) for one in processors if not one.contract]
    note = _listed(bare) if processors else UNSEEN.format("processor")
    return "processors without a contract", len(bare), note


def _by(stop: Stop) -> str:
    return f"{stop.kind} {stop.name}"


def _listed(stops: Sequence[Stop]) -> str:
    """Return stops as one sentence; '' of none."""
    return f"{'; '.join(f'{_by(stop)} ({stop.country})' for stop in stops)}." if stops else ""
