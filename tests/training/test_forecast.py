"""Forecasts: what the rest of a run will see and take, stage by stage, and how far off it was."""

from dataclasses import replace

import pytest

from training.config import RunConfig, StageConfig
from training.planning.forecast import Forecast, batches_to_come, read_forecast
from training.planning.recipe import Recipe
from training.records.record import RunRecord

NOW = {"at_s": 20.0, "step": 10, "joules": 500.0, "cost": 8.0}


@pytest.fixture
def staged(tiny: RunConfig) -> RunConfig:
    """Half of the time at 16 px, half at 32 px."""
    early = StageConfig(time_share=0.5, image_px=16, batch_size=8, repa=True)
    return replace(tiny, earlier=(early,), image_px=32, batch_size=4)


def test_with_one_stage_a_step_to_come_is_a_batch(tiny: RunConfig) -> None:
    assert batches_to_come(tiny, 0.02) == 8
    found = Forecast.early(tiny, samples=80, elapsed_share=0.02, steps_left=490.0, **NOW)
    assert (found.samples, found.cost) == (80 + 490 * 8, 8.0)
    assert found.joules == pytest.approx(500 * 50)


def test_a_later_stage_sees_as_many_pictures_as_its_operations_allow(staged: RunConfig) -> None:
    recipe = Recipe.of(staged)
    small, large = (recipe.image_flops(stage) for stage in recipe.stages)
    assert small < large
    each = 8 * small / large
    assert batches_to_come(staged, 0.0) == pytest.approx(0.5 * 8 + 0.5 * each)
    assert batches_to_come(staged, 0.4) == pytest.approx((0.1 * 8 + 0.5 * each) / 0.6)


def test_in_the_last_stage_a_step_is_its_batch_up_to_the_end(staged: RunConfig) -> None:
    assert batches_to_come(staged, 0.7) == pytest.approx(4)
    assert batches_to_come(staged, 1.0) == pytest.approx(4)


def test_a_forecast_says_how_far_off_it_was(tiny: RunConfig) -> None:
    found = Forecast(at_s=20.0, samples=1100.0, joules=450.0, cost=None)
    off = found.off(samples=1000, joules=500.0, cost=None)
    assert off["samples_off"] == pytest.approx(0.1)
    assert off["joules_off"] == pytest.approx(-0.1)
    assert (off["cost_off"], off["at_s"]) == (None, 20.0)


def test_a_forecast_comes_back_from_its_json() -> None:
    said = {"at_s": 1.0, "samples": 2.0, "joules": 3.0, "cost": None}
    assert read_forecast(said) == Forecast(**said)
    assert read_forecast(None) is None
    with pytest.raises(TypeError):
        read_forecast({"at_s": 1.0})


def test_a_run_forecasts_once_and_says_at_its_end_how_far_off_it_was(finished) -> None:
    kept = RunRecord.read(finished.run)
    assert kept is not None
    early, said = read_forecast(kept.forecast), finished.result.forecast
    assert early is not None
    assert early.at_s >= 0.02 * kept.budget_s
    assert said["samples"] == early.samples
    assert abs(said["samples_off"]) <= 0.10  # its clock ticks evenly
    assert early.samples == pytest.approx(finished.result.samples_seen, rel=0.1)
    assert said["cost_off"] is None  # nobody declared a rate
