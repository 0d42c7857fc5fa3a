"""Claims and the tables they are held to: every figure dated, every verdict from its rows."""

import math
import re

import pytest
from pydantic import ValidationError

from governance.errors import UsageError
from policies import claims
from policies.claims import Claim, Price, Row, Said, judge

PRX_FLOPS = 1.66e20
DAY = re.compile(r"20\d\d-\d\d(-\d\d)?")
BY_ID = {claim.id: claim for claim in claims.claims()}
TOLD = {"source": "a page", "date": "2026-11-22", "confidence": "M"}


def _claim(**changes: object) -> Claim:
    made = {"id": "X", "says": "x", "source": "x", "date": "2026-03", "holds_if": "x", "why": "x"}
    return Claim.model_validate({**made, **changes})


def test_every_figure_has_a_source_a_date_and_a_confidence() -> None:
    rows: list[Row] = [*claims.prices(), *claims.facts(), *claims.grids()]
    assert len(rows) > 50
    for row in rows:
        if row.interval:
            assert row.source
            assert DAY.fullmatch(row.date)
            assert row.confidence in ("H", "M", "L")


def test_what_nobody_found_says_why_it_is_not_known() -> None:
    unknown = [row for row in (*claims.prices(), *claims.facts()) if row.interval is None]
    assert len(unknown) >= 8
    assert all(row.note for row in unknown)


def test_no_price_is_listed_twice() -> None:
    keys = [(p.provider, p.country, p.accelerator, p.kind) for p in claims.prices()]
    assert len(keys) == len(set(keys))


def test_every_price_is_of_an_accelerator_that_is_known() -> None:
    assert {price.accelerator for price in claims.prices()} <= set(claims.accelerators())


@pytest.mark.parametrize(
    ("name", "verdict", "said"),
    [
        ("A100-HOURLY", "not supported", "8.6 to 10.3 times"),
        ("H100-64", "not supported", "USD 0.25 each"),
        ("A100-256", "not supported", "USD 0.31 each"),
        ("PRX-1500", "supported", "USD 2.00 each"),
        ("GPAI-FLOP", "not supported", "0.0017 of 1e+23"),
        ("LIKE-SD3", "not supported", "no score was published"),
        ("INDIA-CHEAPER", "cannot be told", "lakh"),
        ("USE-DALLE-3", "cannot be told", "40,000 to 120,000"),
    ],
)
def test_a_claim_gets_the_verdict_of_its_rows(name: str, verdict: str, said: str) -> None:
    judged = judge(BY_ID[name], flops=PRX_FLOPS)
    assert judged.verdict == verdict
    assert said in judged.arithmetic
    assert judged.claim.why


def test_the_price_of_32_h200_for_a_day_is_what_its_authors_reckon_and_more_in_india() -> None:
    assert 32 * 24 * 2.0 == 1536
    assert "in IN from 3.19" in judge(BY_ID["PRX-1500"], flops=PRX_FLOPS, country="IN").arithmetic


def test_a_spot_price_supports_nothing() -> None:
    claim = BY_ID["A100-HOURLY"]
    assert judge(claim, flops=0.0).verdict == "not supported"
    assert "spot was seen at 0.31" in judge(claim, flops=0.0).arithmetic


def test_a_price_that_nobody_lists_cannot_be_told() -> None:
    said = Said(accelerators=("H200",), count=1, usd_per_hour=3.0, provider="nobody")
    judged = judge(_claim(price=said.model_dump()), flops=0.0)
    assert judged.verdict == "cannot be told"
    assert "no row" in judged.arithmetic


def test_more_operations_than_the_bound_support_the_claim() -> None:
    assert judge(_claim(flop_over=1e20), flops=2e20).verdict == "supported"
    assert judge(_claim(flop_over=1e20), flops=1e20).verdict == "not supported"


def test_rupees_become_dollars_at_the_rate_of_the_table() -> None:
    row = next(p for p in claims.prices() if (p.provider, p.accelerator) == ("e2e", "H200"))
    found = claims.usd(row)
    assert found is not None
    assert math.isclose(found[0], 300 / 94)


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 2.0, "low": 3.0, "high": 4.0},
        {"value": 2.0, "low": None, "high": 4.0},
        {"value": 2.0, "low": 1.0, "high": 4.0, "source": ""},
        {"value": -1.0, "low": -1.0, "high": -1.0},
        {"value": 1.0, "low": 1.0, "high": 1.0, "kind": "dreamt"},
        {"value": 1.0, "low": 1.0, "high": 1.0, "currency": "EUR"},
        {"value": 1.0, "low": 1.0, "high": 1.0, "colour": "red"},
    ],
    ids=["no order", "an end missing", "no source", "negative", "kind", "currency", "unknown key"],
)
def test_a_row_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    made = {"provider": "p", "country": "IN", "accelerator": "H200", "kind": "on-demand",
            "currency": "USD", **TOLD}  # fmt: skip
    with pytest.raises(ValidationError):
        Price.model_validate({**made, **changes})


@pytest.mark.parametrize(
    "changes",
    [{}, {"verdict": "supported"}, {"verdict": "supported", "arithmetic": "x", "flop_over": 1.0}],
    ids=["no way", "a verdict without arithmetic", "two ways"],
)
def test_a_claim_is_judged_one_way(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="verdict with its arithmetic"):
        _claim(**changes)


def test_a_fact_that_no_row_has_is_named() -> None:
    with pytest.raises(UsageError, match=r"colour of H200; add one"):
        claims.fact("H200", "colour")
