"""Claims about cost held to dated prices; and the tables of prices, hardware, money and grids.

A row without a value is one that nobody found: what depends on it is not known, and the row is
named. A verdict on a price is computed from the rows; any other stands in the claim with its why.

Does not see: today's prices. A row is as old as its date, and a list price is not an offer.
"""

import csv
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from governance.canon import parse_yaml
from governance.errors import UsageError
from policies.rules import packaged

Verdict = Literal["supported", "not supported", "cannot be told"]
Kind = Literal["on-demand", "reserved", "subsidised", "spot", "market", "quote"]
Text = Annotated[str, Field(min_length=1)]
T = TypeVar("T")

TABLES: Final = ("hardware", "money", "grid", "prices")
UNSURE: Final[tuple[Kind, ...]] = ("spot", "quote")  # nothing to plan with: it can be taken away


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Written):
    """A figure between two ends, with where and when it was read. Without a value: not known."""

    value: float | None = Field(ge=0)
    low: float | None = Field(ge=0)
    high: float | None = Field(ge=0)
    source: str
    date: str
    confidence: Literal["H", "M", "L", ""]
    note: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        ends = (self.low, self.value, self.high)
        known = [end for end in ends if end is not None]
        if known and (len(known) < len(ends) or known != sorted(known)):
            raise ValueError("low, value and high are all there, in this order, or none is")
        if known and not (self.source and self.date and self.confidence):
            raise ValueError("a figure has a source, a date and a confidence")
        return self

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """Return value, low and high, or None where they are not known."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.value, self.low, self.high

    @property
    def read(self) -> str:
        """Return where and when the row was read, and how sure that is."""
        return f"{self.source} ({self.date}, {self.confidence})" if self.source else "no source"


class Fact(Row):
    """A row of `hardware.csv` or `money.csv`: what one thing is."""

    of: Text
    what: Text


class Grid(Row):
    """A row of `grid.csv`: grams of CO2 a kWh in a country."""

    country: Text


class Price(Row):
    """A row of `prices.csv`: one accelerator for one hour, before tax. No country: anywhere."""

    provider: Text
    country: str
    accelerator: Text
    kind: Kind
    currency: Literal["USD", "INR"]

    @property
    def name(self) -> str:
        """Return how the row is named where it is missing or cited."""
        return f"prices.csv {self.provider}/{self.country or 'anywhere'}/{self.accelerator}"


class Said(_Written):
    """A price that was claimed, for so many accelerators, of any of these kinds."""

    accelerators: tuple[Text, ...]
    count: int = Field(ge=1)
    usd_per_hour: float = Field(gt=0)
    provider: str = ""


class Claim(_Written):
    """What was said, by whom, and what would have to hold.

    It is judged by `price`, by `flop_over`, or as it stands in `verdict`.
    """

    id: Text
    says: Text
    source: Text
    date: Text
    holds_if: Text
    why: Text
    price: Said | None = None
    flop_over: float | None = None
    verdict: Verdict | None = None
    arithmetic: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [way for way in (self.price, self.flop_over, self.verdict) if way is not None]
        if len(ways) != 1 or (self.verdict is not None and not self.arithmetic):
            raise ValueError("a claim has a price, flop_over, or a verdict with its arithmetic")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A claim with its verdict and the arithmetic behind it."""

    claim: Claim
    verdict: Verdict
    arithmetic: str


@cache
def prices() -> tuple[Price, ...]:
    """Return the prices. Raises UsageError for a row that cannot be read."""
    return _table("prices", TypeAdapter(tuple[Price, ...]))


@cache
def grids() -> tuple[Grid, ...]:
    """Return how much CO2 a kWh stands for, by country. Raises UsageError."""
    return _table("grid", TypeAdapter(tuple[Grid, ...]))


@cache
def claims() -> tuple[Claim, ...]:
    """Return the claims. Raises UsageError for one that cannot be judged."""
    return _checked("claims.yaml", parse_yaml(packaged("reference/claims.yaml").decode()),
                    TypeAdapter(tuple[Claim, ...]))  # fmt: skip


@cache
def facts() -> tuple[Fact, ...]:
    """Return what is known of hardware and money. Raises UsageError."""
    kind = TypeAdapter(tuple[Fact, ...])
    return _table("hardware", kind) + _table("money", kind)


def fact(of: str, what: str) -> Fact:
    """Return one fact. Raises UsageError where no row has it."""
    for row in facts():
        if (row.of, row.what) == (of, what):
            return row
    raise UsageError(f"No row of hardware.csv or money.csv has {what} of {of}; add one.")


def accelerators() -> tuple[str, ...]:
    """Return the accelerators whose peak is known."""
    return tuple(row.of for row in facts() if row.what == "peak_flops")


def usd(price: Price) -> tuple[float, float, float] | None:
    """Return a price in USD (value, low, high), at the value of the exchange rate."""
    rate = fact("INR", "per_usd").value
    if price.interval is None or not rate:
        return None
    value, low, high = (end / (rate if price.currency == "INR" else 1) for end in price.interval)
    return value, low, high


def judge(claim: Claim, *, flops: float, country: str = "") -> Judged:
    """Return the verdict on a claim.

    Args:
        claim: what was said.
        flops: the operations of the run that it speaks of.
        country: where the lowest price is told as well; it changes no verdict.
    """
    if claim.verdict:
        return Judged(claim=claim, verdict=claim.verdict, arithmetic=claim.arithmetic)
    if claim.flop_over:
        over: Verdict = "supported" if flops > claim.flop_over else "not supported"
        said = f"{flops:.2g} operations, {flops / claim.flop_over:.2g} of {claim.flop_over:.0e}"
        return Judged(claim=claim, verdict=over, arithmetic=said)
    return (
        _judged_price(claim, claim.price, country)
        if claim.price
        else _untold(claim, "nothing to judge")
    )


def _judged_price(claim: Claim, said: Said, country: str) -> Judged:
    """Hold a price to what is listed: below the lowest it is not supported, above it is."""
    rows = [
        (found, price)
        for price in prices()
        if price.accelerator in said.accelerators
        and said.provider in ("", price.provider)
        and (found := usd(price))
    ]
    listed = [found for found, price in rows if price.kind not in UNSURE]
    if not listed:
        return _untold(claim, f"no row of prices.csv lists {' or '.join(said.accelerators)}")
    each = said.usd_per_hour / said.count
    low, high = min(found[1] for found in listed), max(found[2] for found in listed)
    here = [f[1] for f, price in rows if price.country == country and price.kind not in UNSURE]
    passing = [found[1] for found, price in rows if price.kind == "spot"]
    arithmetic = (
        f"USD {said.usd_per_hour:g} / {said.count} = USD {each:.2f} each; listed at {low:.2f} to "
        f"{high:.2f}, {low / each:.1f} to {high / each:.1f} times that"
    )
    if country and here:
        arithmetic += f"; in {country} from {min(here):.2f}"
    if passing:
        arithmetic += f"; spot was seen at {min(passing):.2f}"
    verdict: Verdict = "supported" if each >= low else "not supported"
    return Judged(claim=claim, verdict=verdict, arithmetic=arithmetic)


def _untold(claim: Claim, why: str) -> Judged:
    return Judged(claim=claim, verdict="cannot be told", arithmetic=why)


def _table(name: str, kind: TypeAdapter[T]) -> T:
    lines = packaged(f"reference/{name}.csv").decode().splitlines()
    rows = [{k: _cell(k, v) for k, v in row.items()} for row in csv.DictReader(lines)]
    return _checked(f"{name}.csv", rows, kind)


def _cell(column: str, text: str) -> str | None:
    return None if not text and column in ("value", "low", "high") else text


def _checked(name: str, said: object, kind: TypeAdapter[T]) -> T:
    try:
        return kind.validate_python(said)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        raise UsageError(f"{name} cannot be read at {where}: {first['msg']}. Mend it.") from None
