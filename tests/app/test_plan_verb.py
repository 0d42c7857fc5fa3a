"""`pramana plan`: every figure with its ends, its source, and whether it was measured."""

import json

import pytest
from click.testing import CliRunner

from app import plan as plans
from app.plan import Asked, Planned
from app.verbs.plan import plan as verb
from governance.errors import EvidenceMissing, UsageError

ASKED = Asked(gpus="32xH200", hours=24.0, region="IN")


@pytest.fixture(scope="module")
def planned() -> Planned:
    return plans.plan(ASKED)


def _figure(made: Planned, name: str, unit: str = "") -> plans.Figure:
    return next(f for f in made.figures if f.name == name and f.unit == unit)


def test_every_figure_says_how_it_is_known_and_from_where(planned) -> None:
    assert len(planned.figures) > 20
    for figure in planned.figures:
        assert figure.basis == "projected"
        assert figure.source


def test_a_day_of_32_h200_in_india_costs_what_three_providers_ask(planned) -> None:
    rent = _figure(planned, "rent", "USD").interval
    assert rent.low == pytest.approx(768 * 300 / 94)
    assert rent.value == pytest.approx(768 * 4.59)
    assert rent.high == pytest.approx(768 * 9.494, rel=0.001)
    assert _figure(planned, "rent", "INR").interval.low == pytest.approx(230_400)
    taxed = _figure(planned, "rent with GST", "INR").interval
    assert taxed.low == pytest.approx(1.18 * 230_400)


def test_electricity_and_co2_are_those_reckoned_by_hand(planned) -> None:
    kwh, co2 = _figure(planned, "electricity", "kWh").interval, _figure(planned, "CO2", "t")
    assert kwh.value == pytest.approx(32 * 0.7 * 24 * 1.2)
    assert (kwh.low, kwh.high) == pytest.approx((553, 1273), abs=0.6)
    assert co2.interval.value == pytest.approx(kwh.value * 711.7e-6)
    assert "CEA" in co2.source


def test_drawing_a_million_pictures_has_a_price(planned) -> None:
    hours = _figure(planned, "drawing a million", "machine-hours").interval
    usd = _figure(planned, "drawing a million", "USD").interval
    assert hours.value == pytest.approx(97.74e12 / (0.061 * 989e12) * 1e6 / 3600, rel=0.001)
    assert usd.value == pytest.approx(hours.value * 4.59)


def test_what_no_row_gives_is_named(planned) -> None:
    assert any("indiaai/IN/H200" in line for line in planned.missing)
    assert any("gcp/IN/H200" in line for line in planned.missing)


def test_the_three_set_ups_are_answered(planned) -> None:
    found = {setup.gpus: setup for setup in planned.setups}
    assert set(found) == {"64xH100", "256xA100", "1000xRTX4090"}
    small = found["1000xRTX4090"]
    assert (small.fits, small.verdict) == ("only shared", "cannot be told")
    assert "488 have nothing to do" in small.why
    assert found["64xH100"].verdict == found["256xA100"].verdict == "supported"
    for setup in planned.setups:
        assert "what it gives is not known" in setup.why


@pytest.mark.parametrize(
    ("changes", "low_usd", "high_usd"),
    [
        ({"provider": "e2e"}, 768 * 300 / 94, 768 * 300 / 91.49),
        ({"region": "US"}, 6076, 6077),
        ({"region": "FR"}, 1536, 5376),
        ({"region": "aws:ap-south-1", "hours": 12.0}, 384 * 300 / 94, 384 * 9.5),
    ],
    ids=["one provider", "another country", "a country without rows: the market", "a region"],
)
def test_the_price_is_that_of_the_place(changes, low_usd: float, high_usd: float) -> None:
    made = plans.plan(Asked(**{"gpus": "32xH200", "hours": 24.0, "region": "IN", **changes}))
    rent = _figure(made, "rent", "USD").interval
    assert rent.low == pytest.approx(low_usd, rel=0.001)
    assert rent.high == pytest.approx(high_usd, rel=0.001)


def test_tax_outside_india_is_not_known() -> None:
    made = plans.plan(Asked(gpus="8xH100", hours=1.0, region="DE"))
    taxed = _figure(made, "rent with GST", "USD")
    assert (taxed.interval, taxed.source.startswith("not known")) == (None, True)
    assert any("node_watts" in line for line in made.missing)


def test_a_country_without_a_grid_row_has_no_co2() -> None:
    made = plans.plan(Asked(gpus="8xH100", hours=1.0, region="JP"))
    assert _figure(made, "CO2", "t").interval is None
    assert "grid.csv JP" in made.missing


def test_a_preset_is_planned_by_its_deadline_alone() -> None:
    made = plans.plan(Asked(gpus="1xH200", hours=0.1, region="IN", preset="micro"))
    assert made.setups == ()
    assert not [figure for figure in made.figures if figure.name == "the whole recipe"]


def test_a_larger_model_sees_fewer_pictures(planned) -> None:
    large = plans.plan(Asked(gpus="32xH200", hours=24.0, region="IN", parameters=8e9))
    assert large.plan.images.value < planned.plan.images.value / 4
    assert "state shared by 32" in " ".join(figure.source for figure in large.figures)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gpus": "32"}, "write 32xH200"),
        ({"gpus": "2xH900"}, "Known kinds are"),
        ({"gpus": "0xH200"}, "write 32xH200"),
        ({"gpus": "1xcpu"}, "give a --probe"),
        ({"region": "Atlantis"}, "names no country"),
        ({"provider": "nobody"}, "there are aws"),
        ({"preset": "grand"}, "There is no preset"),
    ],
)
def test_what_cannot_be_planned_is_said(changes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plans.plan(Asked(**{"gpus": "32xH200", "hours": 24.0, "region": "IN", **changes}))


def test_a_probe_that_is_no_run_is_missing_evidence(tmp_path) -> None:
    with pytest.raises(EvidenceMissing, match="no folder of a run"):
        plans.plan(Asked(gpus="1xcpu", hours=1.0, region="IN", probe=tmp_path))


def test_the_verb_prints_figures_sources_offers_and_claims() -> None:
    ended = CliRunner().invoke(verb, ["--claims"], env={"COLUMNS": "150"})
    assert ended.exit_code == 0, ended.output
    for said in ("109,979,136", "projected", "e2e", "[1] 6.1% of 989 TFLOP/s", "not known: prices",
                 "would have to hold", "not supported: An A100 costs", "1000xRTX4090"):  # fmt: skip
        assert said in ended.output


def test_the_verb_answers_with_one_json_object() -> None:
    ended = CliRunner().invoke(verb, ["--json", "--gpus", "8 x h100", "--hours", "2"])
    made = json.loads(ended.output)
    assert set(made) == {"asked", "recipe", "figures", "offers", "setups", "claims", "missing"}
    assert {f["basis"] for f in made["figures"]} == {"projected"}
    assert all(c["verdict"] and c["arithmetic"] for c in made["claims"])


def test_a_preset_and_a_size_are_one_too_many() -> None:
    ended = CliRunner().invoke(verb, ["--preset", "micro", "--params", "1e9"])
    assert ended.exit_code == 2
