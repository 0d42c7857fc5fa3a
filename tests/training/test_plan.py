"""The plan: images, steps, memory and time, projected from shapes or measured by a probe."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app import plan as plans
from governance.errors import EvidenceMissing, UsageError
from training.config import load_preset
from training.denoiser import make_denoiser, predict, rotary
from training.planning.interval import Interval
from training.planning.memory import image_bytes, state_bytes
from training.planning.plan import Fleet, Plan, Speed, make_plan, memory_of, network_bytes
from training.planning.probe import FEWEST_STEPS, Probe
from training.planning.recipe import PRX_24H, Recipe

SHARE = Interval(0.061, 0.04, 0.23)
H200S = Fleet(count=32, accelerator="H200", peak_flops=989e12, memory_bytes=141e9)
CPU = Fleet(count=1, accelerator="cpu", peak_flops=None, memory_bytes=None)


def _planned(fleet: Fleet = H200S, hours: float = 24.0, share: Interval = SHARE) -> Plan:
    speed = Speed.projected(fleet, share, "a test")
    return make_plan(PRX_24H, fleet, hours=hours, speed=speed)


def test_at_the_share_that_prx_reached_its_run_takes_a_day() -> None:
    plan = _planned(share=Interval.exactly(0.0606))
    assert plan.whole_hours.value == pytest.approx(24.0 / 0.97, rel=0.001)
    assert plan.images.value == pytest.approx(0.97 * PRX_24H.images, rel=0.001)
    assert plan.flops.value == pytest.approx(0.97 * PRX_24H.flops, rel=0.001)
    assert plan.hfu.value == pytest.approx(0.97 * 0.0606, rel=0.001)
    assert plan.mfu.value == pytest.approx(0.97 * 0.0708, rel=0.002)
    assert plan.speed.basis == "projected"


def test_stages_keep_their_share_of_the_work_and_fill_the_time() -> None:
    plan = _planned()
    first, second = plan.stages
    assert first.steps.value / second.steps.value == pytest.approx(5.0, rel=0.001)
    assert sum(s.hours for s in plan.stages) == pytest.approx(24.0 * 0.97)
    for stage in plan.stages:
        assert stage.steps.value * stage.step_s.value == pytest.approx(
            stage.hours * 3600, rel=0.001
        )
    assert plan.images.low < plan.images.value < plan.images.high


def test_twice_the_machines_see_twice_the_pictures_as_long_as_a_batch_feeds_them() -> None:
    once, twice = _planned(), _planned(replace(H200S, count=64))
    assert twice.images.value == pytest.approx(2 * once.images.value, rel=0.001)
    many = _planned(replace(H200S, count=1024))
    assert [stage.busy for stage in many.stages] == [1024, 512]
    assert many.images.value < 32 * once.images.value


def test_a_batch_that_does_not_divide_waits_for_whoever_has_one_more() -> None:
    even, uneven = _planned(replace(H200S, count=512)), _planned(replace(H200S, count=1000))
    assert uneven.stages[0].step_s.value == even.stages[0].step_s.value


@pytest.mark.parametrize(("hours", "in_time"), [(100.0, True), (24.0, None), (2.0, False)])
def test_whether_the_recipe_ends_in_time_is_told_only_when_both_ends_agree(hours, in_time) -> None:
    assert _planned(hours=hours).in_time is in_time


def test_a_machine_whose_peak_nobody_knows_needs_a_probe() -> None:
    with pytest.raises(UsageError, match="give a --probe"):
        Speed.projected(CPU, SHARE, "a test")


def test_the_state_of_prx_small_is_22_bytes_a_parameter() -> None:
    assert state_bytes(PRX_24H.shape) == 22 * 1_177_215_744


@pytest.mark.parametrize(
    ("gigabytes", "shards", "fits"), [(141, 1, True), (24, 1, False), (24, 1000, True)]
)
def test_a_state_that_does_not_fit_on_one_may_fit_on_many(gigabytes, shards, fits) -> None:
    fleet = replace(H200S, memory_bytes=gigabytes * 1e9)
    memory = memory_of(PRX_24H, fleet, PRX_24H.stages[1], shards=shards)
    assert memory.fits is fits
    held = memory.state / shards + memory.most_images * memory.image.high
    assert held <= memory.capacity if fits else memory.most_images == 0


@pytest.mark.parametrize(("width", "depth", "image_px", "words"),
                         [(128, 4, 64, 16), (128, 4, 128, 16), (256, 4, 64, 64)])  # fmt: skip
def test_a_picture_takes_what_torch_keeps_for_the_backward_pass(
    width: int, depth: int, image_px: int, words: int
) -> None:
    micro = load_preset("micro")
    config = replace(micro, image_px=image_px, model=replace(micro.model, width=width, depth=depth))
    transformer = make_denoiser(config.model, config.text.width)
    weights = {p.untyped_storage().data_ptr() for p in transformer.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        predict(
            transformer,
            torch.randn(1, 3, image_px, image_px),
            times=torch.rand(1),
            text=torch.randn(1, words, config.text.width),
            mask=torch.ones(1, words, dtype=torch.bool),
            phases=rotary(transformer, image_px, image_px),
        )
    measured = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    told = image_bytes(Recipe.of(config).shape, image_px=image_px, text_tokens=words)
    assert told.high == pytest.approx(measured, rel=0.15)  # fp32, as here, is the high end


def test_gradients_go_round_the_ring_almost_twice() -> None:
    sent = network_bytes(PRX_24H.shape, 32)
    assert sent.value == pytest.approx(2 * 31 / 32 * 4 * 1_177_215_744)
    assert network_bytes(PRX_24H.shape, 1).value == 0.0


def test_a_probe_of_this_machine_replaces_the_projection(finished) -> None:
    probe = Probe.read(finished.run / "metrics.jsonl")
    recipe, budget_s = probe.recipe, finished.result.seconds + finished.result.margin_s
    speed = Speed.probed(CPU, probe, recipe)
    assert (speed.basis, probe.steps) == ("measured", finished.result.steps)
    plan = make_plan(recipe, CPU, hours=budget_s / 3600, speed=speed)
    assert plan.images.value == pytest.approx(finished.result.samples_seen, rel=0.1)
    assert plan.picture_s.value == probe.picture_s > 0
    assert plan.hfu is None
    assert Probe.read(finished.run) == probe


def test_the_plan_of_a_probed_machine_says_measured_and_what_nobody_knows(finished) -> None:
    asked = plans.Asked(gpus="1xcpu", hours=1.0, region="IN", probe=finished.run)
    made = plans.plan(asked)
    known = {(f.name, f.unit): f for f in made.figures}
    for name in ("pictures trained on", "operations", "drawing a picture"):
        assert next(f for key, f in known.items() if key[0] == name).basis == "measured"
    for key in (("rent", "USD"), ("electricity", "kWh"), ("HFU, teachers included", "%")):
        assert known[key].interval is None
    assert made.offers == ()
    assert any("price of cpu" in line for line in made.missing)


def test_a_probe_says_nothing_of_another_machine_and_little_of_many(finished) -> None:
    probe = Probe.read(finished.run)
    with pytest.raises(UsageError, match="the plan is for H200"):
        Speed.probed(H200S, probe, probe.recipe)
    many = Speed.probed(replace(CPU, count=2), probe, probe.recipe)
    other = Speed.probed(CPU, probe, PRX_24H)
    assert (many.basis, other.basis, other.picture_s) == ("projected", "projected", None)
    assert "scaled from" in many.source


def test_a_budget_shorter_than_reading_and_finishing_is_refused(finished) -> None:
    probe = Probe.read(finished.run)
    speed = Speed.probed(CPU, probe, probe.recipe)
    with pytest.raises(UsageError, match="leave no time to train"):
        make_plan(probe.recipe, CPU, hours=probe.lost_s / 3600, speed=speed)


def test_a_probe_that_is_no_run_or_too_short_is_refused(finished, tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match="no folder of a run that trained"):
        Probe.read(tmp_path)
    for name in ("run.json", "config.json", "clearance.json"):
        (tmp_path / name).write_bytes((finished.run / name).read_bytes())
    lines = (finished.run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(lines[: FEWEST_STEPS - 1]))
    with pytest.raises(EvidenceMissing, match="19 steps"):
        Probe.read(tmp_path)


@pytest.mark.parametrize("ends", [(1.0, 2.0, 3.0), (3.0, 1.0, 2.0), (-1.0, -1.0, -1.0)])
def test_an_interval_has_its_figure_between_its_ends(ends: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match="is no interval"):
        Interval(*ends)


def test_dividing_turns_the_ends_round() -> None:
    assert Interval(4.0, 2.0, 6.0).by(Interval(2.0, 1.0, 3.0)) == Interval(2.0, 2 / 3, 6.0)
    assert Interval(4.0, 2.0, 8.0).under(8.0) == Interval(2.0, 1.0, 4.0)
    with pytest.raises(UsageError, match="may be 0"):
        Interval(1.0, 0.0, 2.0).under(1.0)
