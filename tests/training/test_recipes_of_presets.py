"""What presets cost: teachers, encoders, stages with their own share of the time, and memory."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from governance.errors import EvidenceMissing
from training.config import ModelConfig, StageConfig, load_preset
from training.optim import make_optimiser
from training.planning.interval import Interval
from training.planning.memory import state_bytes
from training.planning.networks import NETWORKS, WITH_GRADIENT, WORTH_SHARE, vit_flops
from training.planning.plan import Fleet, Speed, make_plan, memory_of, network_bytes
from training.planning.probe import Probe, _speed
from training.planning.recipe import PRX_24H, Recipe
from training.taught.teachers import WITH_GRADIENT as LOOKS_IN_A_RUN
from training.text.latents import WORTH_SHARE as WORTH_SHARE_IN_A_RUN

H200 = Fleet(count=32, accelerator="H200", peak_flops=989e12, memory_bytes=141e9)
SPEED = Speed.projected(H200, Interval.exactly(0.06), "a test")


@pytest.fixture(scope="module")
def day() -> Recipe:
    return Recipe.of(load_preset("h200x32_24h"))


def test_a_vit_costs_what_was_reckoned_of_prx() -> None:
    aligned = vit_flops(width=1024, depth=24, tokens=16**2 + 5)  # DINOv3-L at 256 px
    assert aligned / 1e12 == pytest.approx(0.16, abs=0.01)
    dino = WITH_GRADIENT * NETWORKS["dinov2-with-registers-base"].flops
    assert dino / 1e12 == pytest.approx(0.14, abs=0.005)


def test_a_run_and_a_plan_count_alike() -> None:
    assert (WORTH_SHARE, WITH_GRADIENT) == (WORTH_SHARE_IN_A_RUN, LOOKS_IN_A_RUN)


def test_the_teacher_that_aligns_rests_in_the_last_stage(day: Recipe) -> None:
    first, last = day.stages
    known = NETWORKS["dinov3-vitl16-pretrain-lvd1689m"].flops
    assert first.teacher_flops - last.teacher_flops == pytest.approx(known)


def test_an_encoder_that_costs_more_than_a_tenth_is_asked_once(day: Recipe) -> None:
    assert day.encoder_flops == pytest.approx(1.03e12, rel=0.01)
    assert day.keeps_text
    online = replace(day, latents="online")
    assert not online.keeps_text
    more = online.image_flops(online.stages[0]) - day.image_flops(day.stages[0])
    assert more == day.encoder_flops
    assert not replace(day, encoder_flops=0.05e12).keeps_text


def test_stages_get_the_share_of_the_time_that_they_say(day: Recipe) -> None:
    plan = make_plan(day, H200, hours=24.0, speed=SPEED)
    hours = [stage.hours for stage in plan.stages]
    assert hours[0] / sum(hours) == pytest.approx(0.78)
    assert sum(hours) == pytest.approx(24 * 0.97)
    for stage in plan.stages:
        assert stage.steps.value * stage.step_s.value == pytest.approx(
            stage.hours * 3600, rel=0.001
        )


@pytest.mark.parametrize("preset", ["micro", "h200_20m"])
def test_the_state_is_what_the_optimiser_keeps(preset: str) -> None:
    """Four bytes less for each number that Muon moves, as the optimiser routes them."""
    config = load_preset(preset)
    small = ModelConfig(**{**config.to_json()["model"], "width": 64, "heads": 4, "depth": 2})
    config = replace(config, model=small, optimiser=replace(config.optimiser, kind="muon"))
    from training.denoiser import make_denoiser  # noqa: PLC0415  heavy

    transformer = make_denoiser(config.model, config.text.width)
    named = [(f"transformer.{name}", p) for name, p in transformer.named_parameters()]
    for _, parameter in named:
        parameter.grad = torch.zeros_like(parameter)
    optimiser = make_optimiser(named, config.optimiser)
    optimiser.step()
    kept = [tensor for _, p in named for tensor in optimiser.state_of(p).values()]
    moments = sum(tensor.numel() for tensor in kept if tensor.ndim)  # a count of steps has none
    count = sum(p.numel() for _, p in named)
    shape = Recipe.of(config).shape
    assert state_bytes(shape, turns=True) == 14 * count + 4 * moments


def test_what_is_shared_takes_less_memory_and_half_as_much_network_again(day: Recipe) -> None:
    alone = memory_of(day, H200, day.stages[0])
    shared = memory_of(day, H200, day.stages[0], shards=32)
    assert alone.frozen == shared.frozen == pytest.approx(4 * 3.02e9, rel=0.01)
    assert shared.most_images > alone.most_images
    whole, spread = (network_bytes(day.shape, 32, shares=shares) for shares in (False, True))
    assert spread.value == pytest.approx(1.5 * whole.value)


def test_a_probe_counts_each_step_as_what_its_stage_takes(tiny) -> None:
    early = StageConfig(time_share=0.5, image_px=16, batch_size=8, repa=True)
    recipe = Recipe.of(replace(tiny, earlier=(early,), image_px=32))
    flops = [stage.batch_size * recipe.image_flops(stage) for stage in recipe.stages]
    stages = [0] * 20 + [1] * 20
    found = _speed(recipe, stages, [flops[stage] / 1e9 for stage in stages])
    assert (found.value, found.low, found.high) == pytest.approx((1e9, 1e9, 1e9))


def test_a_probe_is_kept_beside_its_preset_and_comes_back(finished, tmp_path: Path) -> None:
    probe = replace(Probe.read(finished.run), config=load_preset("micro"))
    path = probe.keep(tmp_path)
    assert Probe.read(path) == probe
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "recipe": "0" * 64}))
    with pytest.raises(EvidenceMissing, match="other settings than micro has now"):
        Probe.read(path)


def test_the_published_recipe_says_nothing_of_parts(day: Recipe) -> None:
    assert (PRX_24H.parts, day.parts) == (1, 32)
