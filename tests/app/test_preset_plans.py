"""Each preset has a plan beside it, made from the figures of today, and pins that a user gives."""

import pytest

from app import preset_plans
from app.preset_plans import PLACES, page, path_of
from governance.errors import UsageError
from governance.weights import DeclaredWeights
from training.config import DECLARED, RunConfig, load_preset, presets
from training.planning.recipe import PRX_24H, Recipe
from training.taught.pins import pinned

DAYS = ("h200x8_24h", "h200x32_24h")


def _declared(name: str, digit: str = "a") -> DeclaredWeights:
    return DeclaredWeights(
        name=name, sha256=digit * 64, licence="Apache-2.0", source="https://example.org/weights"
    )


def _all_declared(config: RunConfig) -> list[DeclaredWeights]:
    names = sorted({w.name for w in config.networks().values() if w.sha256 == DECLARED})
    return [_declared(name, "abcdef"[place]) for place, name in enumerate(names)]


@pytest.mark.parametrize("name", sorted(PLACES))
def test_the_plan_beside_a_preset_is_what_is_planned_today(name: str) -> None:
    assert path_of(name).read_text(encoding="utf-8") == page(name), "run `make plans`"


def test_every_preset_has_a_place_and_a_plan() -> None:
    assert set(presets()) == set(PLACES)


@pytest.mark.parametrize("name", sorted(PLACES))
def test_a_plan_says_measured_only_where_a_probe_lies_beside_it(name: str) -> None:
    probed = (path_of(name).parent / f"{name}.probe.json").is_file()
    told = page(name)
    assert ("speed is **measured**" in told) is probed
    assert ("speed is **projected**" in told) is not probed


@pytest.mark.parametrize("name", DAYS)
def test_the_presets_of_a_day_are_the_recipe_of_prx(name: str) -> None:
    recipe = Recipe.of(load_preset(name))
    assert recipe.shape == PRX_24H.shape
    assert recipe.text_tokens == PRX_24H.text_tokens
    assert recipe.sampling_steps == PRX_24H.sampling_steps
    for ours, theirs in zip(recipe.stages, PRX_24H.stages, strict=True):
        assert (ours.image_px, ours.batch_size) == (theirs.image_px, theirs.batch_size)
        assert recipe.model_flops(ours) == PRX_24H.model_flops(theirs)
    first, second = PRX_24H.stages
    done = [stage.images * PRX_24H.image_flops(stage) for stage in (first, second)]
    assert recipe.stages[0].time_share == pytest.approx(done[0] / sum(done), abs=0.005)


def test_a_run_may_move_between_8_and_32_machines_but_for_its_name() -> None:
    eight, many = (load_preset(name).to_json() for name in DAYS)
    assert eight.pop("preset") != many.pop("preset")
    assert eight == many


@pytest.mark.parametrize("name", DAYS)
def test_every_part_of_a_day_fits_and_spreads(name: str) -> None:
    told = page(name)
    assert told.count("each fits") == 2
    assert "does not" not in told


def test_a_digest_that_a_preset_leaves_open_is_the_declared_one() -> None:
    config = load_preset("h200x32_24h")
    declared = _all_declared(config)
    filled = pinned(config, declared)
    by_name = {weights.name: weights.sha256 for weights in declared}
    assert {w.name: w.sha256 for w in filled.networks().values() if w.name} == by_name
    assert filled.digest != config.digest
    assert pinned(filled, []) == filled


@pytest.mark.parametrize("digits", ["", "01"], ids=["none", "two digests"])
def test_a_name_without_one_digest_is_told_before_anything_is_spent(digits: str) -> None:
    config = load_preset("h200x32_24h")
    declared = [d for d in _all_declared(config) if d.name != "resnet-50"]
    declared += [_declared("resnet-50", digit) for digit in digits]
    with pytest.raises(UsageError, match=r"resnet-50, and pramana\.toml declares no digest"):
        pinned(config, declared)


def test_a_preset_without_weights_of_others_needs_no_pins() -> None:
    micro = load_preset("micro")
    assert pinned(micro, []) == micro


def test_weights_that_nobody_described_are_named_and_count_as_none(monkeypatch) -> None:
    monkeypatch.setattr("training.planning.recipe.NETWORKS", {})
    told = page("h200x32_24h")
    assert "not known: operations and size of the weights t5gemma-2b-2b-ul2" in told
    assert "0.0 GB of frozen networks" in told
    assert preset_plans.page("micro")
