"""Offers: what an hour of accelerators costs at each provider, and what the electricity emits.

Joins the rows of `policies/reference` with a plan. What a row lacks is not known, and the row is
named among what is missing.

Does not see: stock, discounts, storage, traffic, failed runs and staff. It is the rent alone.
"""

from dataclasses import dataclass
from statistics import median

from governance.errors import UsageError
from policies import claims
from policies.claims import Price
from training.planning.interval import Interval

GRAMS_PER_TONNE = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """A sum before tax, in both currencies, and after; None where the tax is not known."""

    usd: Interval
    inr: Interval
    usd_taxed: Interval | None
    inr_taxed: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A row of prices for so many accelerator-hours."""

    row: Price
    money: Money


def offers(accelerator: str, *, accelerator_hours: float, country: str) -> tuple[Offer, ...]:
    """Return what each provider asks, those of the country first; what nobody lists is left out."""
    rows = [row for row in claims.prices() if row.accelerator == accelerator and row.interval]
    found = [Offer(row=row, money=_money(row, accelerator_hours, country)) for row in rows]
    return tuple(sorted(found, key=lambda o: (_away(o.row, country), o.money.usd.value)))


def usual(found: tuple[Offer, ...], *, country: str, provider: str = "") -> tuple[Offer, ...]:
    """Return the offers to plan with: the provider's, or all of the country, or of the market.

    Spot prices and quotes are left out; a provider that is named counts with what it has.
    """
    firm = [offer for offer in found if offer.row.kind not in claims.UNSURE]
    if provider:
        return tuple(offer for offer in found if offer.row.provider == provider)
    here = tuple(offer for offer in firm if offer.row.country == country)
    return here or tuple(offer for offer in firm if not offer.row.country)


def rent(chosen: tuple[Offer, ...]) -> Money | None:
    """Return the median of offers, between the lowest and the highest; None where there is none."""
    if not chosen:
        return None
    sums = [offer.money for offer in chosen]
    taxed = all(money.usd_taxed for money in sums)
    return Money(
        usd=_over([money.usd for money in sums]),
        inr=_over([money.inr for money in sums]),
        usd_taxed=_over([m.usd_taxed for m in sums if m.usd_taxed]) if taxed else None,
        inr_taxed=_over([m.inr_taxed for m in sums if m.inr_taxed]) if taxed else None,
    )


def unlisted(accelerator: str, country: str) -> list[str]:
    """Return the rows of prices that nobody could fill, of this country or of any."""
    return [
        f"{row.name}: {row.note}"
        for row in claims.prices()
        if row.accelerator == accelerator and not row.interval and row.country in (country, "")
    ]


def energy_kwh(accelerator: str, accelerator_hours: float) -> tuple[Interval, list[str]] | None:
    """Return the electricity of a run, and the rows that are missing; None without any figure.

    From what the boards draw to what whole nodes may, each with the room around them.
    """
    board, node = _known(accelerator, "watts"), _known(accelerator, "node_watts")
    room = _known("room", "pue")
    if board is None or room is None:
        return None
    high = max(board.high, node.high) if node else board.high
    watts = Interval(board.value, board.low, high)
    missing = [] if node else [f"hardware.csv {accelerator}/node_watts: a whole machine draws more"]
    return watts.times(room).times(accelerator_hours / 1000.0), missing


def tonnes_co2(kwh: Interval, country: str) -> tuple[Interval, str] | None:
    """Return the tonnes of CO2 of electricity in a country, and the source of its grid's factor."""
    for grid in claims.grids():
        if grid.country == country and grid.interval:
            return kwh.times(Interval(*grid.interval)).times(1 / GRAMS_PER_TONNE), grid.read
    return None


def _money(row: Price, accelerator_hours: float, country: str) -> Money:
    rate, tax = _known("INR", "per_usd"), _known(country, "gst_share")
    if rate is None or row.interval is None:
        raise UsageError("money.csv has no INR/per_usd, or a price has no value; add the row.")
    listed = Interval(*row.interval).times(accelerator_hours)
    if row.currency == "INR":
        usd, inr = listed.by(rate), listed
    else:
        usd, inr = listed, listed.times(rate)
    return Money(
        usd=usd,
        inr=inr,
        usd_taxed=usd.times(1 + tax.value) if tax else None,
        inr_taxed=inr.times(1 + tax.value) if tax else None,
    )


def _known(of: str, what: str) -> Interval | None:
    for row in claims.facts():
        if (row.of, row.what) == (of, what) and row.interval:
            return Interval(*row.interval)
    return None


def _over(sums: list[Interval]) -> Interval:
    return Interval(
        median(s.value for s in sums), min(s.low for s in sums), max(s.high for s in sums)
    )


def _away(row: Price, country: str) -> int:
    return 0 if row.country == country else 1 if not row.country else 2
