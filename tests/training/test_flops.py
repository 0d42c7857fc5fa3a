"""Operations and parameters: the formula against what was reckoned of PRX, and torch's count."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from governance.errors import UsageError
from training.config import load_preset
from training.planning.flops import Shape, forward_flops
from training.planning.recipe import PRX_24H, Recipe

H200_DAY_FLOPS = 32 * 86_400 * 989e12


def small():
    """Return PRX-small as diffusers builds it, without any memory behind it."""
    from diffusers import PRXTransformer2DModel  # noqa: PLC0415  heavy

    shape = PRX_24H.shape
    with torch.device("meta"):
        return PRXTransformer2DModel(
            in_channels=3, patch_size=shape.patch_px, context_in_dim=shape.text_width,
            hidden_size=shape.width, mlp_ratio=shape.mlp_ratio, num_heads=shape.heads,
            depth=shape.depth, axes_dim=[32, 32], bottleneck_size=shape.bottleneck,
        )  # fmt: skip


def test_the_parameters_are_those_of_the_stock_class() -> None:
    assert PRX_24H.shape.parameters() == sum(p.numel() for p in small().parameters()) == 1177215744


@pytest.mark.parametrize("image_px", [512, 1024])
def test_the_formula_is_what_torch_counts_of_prx_small(image_px: int) -> None:
    model = small()
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        model(
            torch.empty(1, 3, image_px, image_px),
            torch.empty(1),
            torch.empty(1, 256, 2304),
            torch.empty(1, 256, dtype=torch.bool),
        )
    told = forward_flops(PRX_24H.shape, image_px=image_px, text_tokens=256, dense=True)
    assert told == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize(
    ("stage", "dense_tflops", "routed_tflops"), [(0, 1.37, 0.84), (1, 5.24, 2.96)]
)
def test_a_picture_costs_what_was_reckoned_of_prx(
    stage: int, dense_tflops: float, routed_tflops: float
) -> None:
    found = PRX_24H.stages[stage]
    assert PRX_24H.model_flops(found) / 1e12 == pytest.approx(dense_tflops, abs=0.005)
    alone = PRX_24H.image_flops(found) - found.teacher_flops
    assert alone / 1e12 == pytest.approx(routed_tflops, abs=0.005)


def test_the_whole_run_is_what_was_reckoned_of_prx() -> None:
    assert PRX_24H.images == 112_640_000
    assert PRX_24H.flops == pytest.approx(1.67e20, rel=0.01)
    assert PRX_24H.flops / H200_DAY_FLOPS == pytest.approx(0.061, abs=0.0005)


def test_a_preset_routes_nothing_and_its_deadline_says_how_long() -> None:
    recipe = Recipe.of(load_preset("micro"))
    assert recipe.open_ended
    assert recipe.image_flops(recipe.stages[0]) == recipe.model_flops(recipe.stages[0])
    assert Shape.of(load_preset("micro")) == recipe.shape


@pytest.mark.parametrize("parameters", [0.19e9, 2e9, 8e9])
def test_a_model_of_another_size_is_wider(parameters: float) -> None:
    recipe = PRX_24H.resized(parameters)
    assert recipe.shape.parameters() == pytest.approx(parameters, rel=0.05)
    assert recipe.shape.width == 64 * recipe.shape.heads
    assert str(recipe.shape.width) in recipe.name


def test_the_model_of_its_own_size_is_the_model_itself() -> None:
    assert PRX_24H.resized(1.177e9).shape == PRX_24H.shape


@pytest.mark.parametrize("parameters", [1e3, 1e13])
def test_a_size_that_widening_cannot_reach_is_refused(parameters: float) -> None:
    with pytest.raises(UsageError, match="ask for others"):
        PRX_24H.resized(parameters)
