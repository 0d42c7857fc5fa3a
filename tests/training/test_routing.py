"""Routing: tokens that bypass blocks are as they were, and nothing else changes but the cost."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from training.config import RunConfig
from training.denoiser import make_denoiser, rotary, see
from training.model import Model, build
from training.objective import Noised, Objective, dice
from training.planning.flops import Shape, forward_flops, train_flops
from training.routing import Route
from training.taught.counting import counted
from training.text.tokens import Tokens, load_tokenizer, make_tokenizer

ROWS, WORDS, PATCHES = 3, 5, 16
CAPTIONS = ("a red circle", "", "a blue cross")


@pytest.fixture
def routed(tiny: RunConfig) -> RunConfig:
    model = replace(tiny.model, depth=4, patch_px=4, kept_share=0.5, routed_from=1, routed_to=3)
    return replace(tiny, model=model)


def given(config: RunConfig, seed: int = 0) -> dict[str, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    return {
        "noisy": torch.randn(ROWS, 3, config.image_px, config.image_px, generator=dice),
        "times": torch.rand(ROWS, generator=dice),
        "text": torch.randn(ROWS, WORDS, config.text.width, generator=dice),
        "mask": torch.ones(ROWS, WORDS, dtype=torch.bool),
    }


def denoiser(config: RunConfig):
    torch.manual_seed(2)
    made = make_denoiser(config.model, config.text.width)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def seen(config: RunConfig, route: Route | None, *, tap: int | None = None):
    made, told = denoiser(config), given(config)
    phases = rotary(made, config.image_px, config.image_px)
    return see(made, told.pop("noisy"), **told, phases=phases, route=route, tap=tap)


def drawn(config: RunConfig, seed: int = 1) -> Route:
    generator = torch.Generator().manual_seed(seed)
    route = Route.drawn(config.model, rows=ROWS, tokens=PATCHES, dice=generator)
    assert route is not None
    return route


def test_half_of_the_tokens_are_kept_each_once_in_their_order(routed: RunConfig) -> None:
    route = drawn(routed)
    assert route.kept.shape == (ROWS, PATCHES // 2)
    assert (route.kept.diff(dim=1) > 0).all()
    assert len({tuple(row) for row in route.kept.tolist()}) == ROWS
    assert torch.equal(route.kept, drawn(routed).kept)
    assert not torch.equal(route.kept, drawn(routed, seed=2).kept)


def test_every_token_is_kept_as_often_as_any_other(routed: RunConfig) -> None:
    route = Route.drawn(
        routed.model, rows=4_000, tokens=PATCHES, dice=torch.Generator().manual_seed(1)
    )
    shares = route.kept.flatten().bincount() / 4_000
    torch.testing.assert_close(shares, torch.full((PATCHES,), 0.5), atol=0.04, rtol=0)


@pytest.mark.parametrize(
    "model", [{"kept_share": 1.0}, {"routed_from": 2, "routed_to": 2}], ids=["all", "no block"]
)
def test_where_nothing_bypasses_there_is_no_route(routed: RunConfig, model) -> None:
    config = replace(routed.model, **model)
    generator = torch.Generator().manual_seed(1)
    assert Route.drawn(config, rows=ROWS, tokens=PATCHES, dice=generator) is None
    assert config.routed == 0


def test_when_every_token_is_kept_the_picture_is_the_dense_one(routed: RunConfig) -> None:
    nearly = replace(routed, model=replace(routed.model, kept_share=0.97))  # 15.5 of 16, so all
    dense = seen(nearly, None).clean
    assert torch.equal(seen(nearly, drawn(nearly)).clean, dense)
    assert not torch.allclose(seen(routed, drawn(routed)).clean, dense, atol=1e-3)


def test_tokens_that_bypass_the_blocks_are_as_they_came(routed: RunConfig) -> None:
    route = drawn(routed)
    before = seen(routed, None, tap=0).tapped
    inside = seen(routed, route, tap=2).tapped
    whole = route.returned(before, inside)
    kept = torch.zeros(ROWS, PATCHES, dtype=torch.bool).scatter(1, route.kept, value=True)
    assert inside.shape == (ROWS, PATCHES // 2, routed.model.width)
    assert torch.equal(whole[~kept], before[~kept])
    assert torch.equal(whole[kept], inside.flatten(0, 1))
    assert not torch.isclose(whole[kept], before[kept]).all(dim=1).any()


def test_kept_tokens_know_where_they_are(routed: RunConfig) -> None:
    """With phases in the order of the kept instead of their places, another picture is seen."""
    route, made, told = drawn(routed), denoiser(routed), given(routed)
    phases = rotary(made, routed.image_px, routed.image_px)
    assert torch.equal(route.phases(phases)[1, 0, 3], phases[route.kept[1, 3]])
    noisy = told.pop("noisy")
    right = see(made, noisy, **told, phases=phases, route=route).clean
    moved = see(made, noisy, **told, phases=phases.roll(1, dims=0), route=route).clean
    assert not torch.allclose(right, moved, atol=1e-3)


def test_gradients_reach_every_block_and_every_token(routed: RunConfig) -> None:
    route, made, told = drawn(routed), denoiser(routed), given(routed)
    noisy = told.pop("noisy").requires_grad_()
    phases = rotary(made, routed.image_px, routed.image_px)
    see(made, noisy, **told, phases=phases, route=route).clean.square().sum().backward()
    assert noisy.grad.abs().flatten(1).gt(0).all()
    assert all(parameter.grad.abs().sum() > 0 for parameter in made.blocks.parameters())


def test_one_graph_whatever_tokens_are_kept(routed: RunConfig) -> None:
    """TREAD by hooks breaks PRX's graph nine times; here it is one, compiled once."""
    made, told = denoiser(routed), given(routed)
    noisy, phases = told.pop("noisy"), rotary(made, routed.image_px, routed.image_px)
    torch._dynamo.reset()  # noqa: SLF001  documented
    counts = torch._dynamo.utils.counters  # noqa: SLF001
    counts.clear()
    block = torch.compile(
        lambda kept: see(made, noisy, **told, phases=phases, route=Route(kept, 1, 3), tap=2).clean,
        fullgraph=True,
        backend="aot_eager",
    )
    for number in range(3):
        route = drawn(routed, seed=number)
        found = block(route.kept)
        direct = see(made, noisy, **told, phases=phases, route=route).clean
        torch.testing.assert_close(found, direct, rtol=1e-4, atol=1e-5)
    assert counts["stats"]["unique_graphs"] == 1
    assert not counts["graph_break"]


def _model(config: RunConfig) -> Model:
    return build(config, load_tokenizer(make_tokenizer(CAPTIONS, 300)))


def test_training_is_routed_and_drawing_dense(routed: RunConfig) -> None:
    model = _model(routed)
    pixels = torch.randint(0, 256, (ROWS, 3, 16, 16), dtype=torch.uint8)
    tokens = Tokens.of(CAPTIONS, model.tokenizer, 12).rows(range(ROWS))
    noised = Noised.drawn(pixels, tokens, routed, dice(1, step=0, part=0))
    again = Noised.drawn(pixels, tokens, routed, dice(1, step=0, part=0))
    dense = Noised.drawn(
        pixels, tokens, replace(routed, model=replace(routed.model, kept_share=1.0)),
        dice(1, step=0, part=0),
    )  # fmt: skip
    assert dense.route is None
    assert torch.equal(noised.noisy, dense.noisy)  # routes are drawn last
    assert torch.equal(noised.route.kept, again.route.kept)
    assert Noised.at(
        noised.times, clean=noised.clean, noise=noised.noisy, tokens=tokens
    ).route is None  # fmt: skip
    objective = Objective(model, routed.objective)
    with torch.no_grad():
        assert torch.equal(objective(noised), objective(again))
        assert not torch.equal(objective(noised), objective(replace(noised, route=None)))


def test_what_is_routed_past_is_not_counted(routed: RunConfig) -> None:
    shape = Shape.of(routed)
    assert (shape.routed, shape.kept_share) == (2, 0.5)
    dense = forward_flops(shape, image_px=16, text_tokens=WORDS, dense=True)
    assert train_flops(routed, WORDS) < 3 * dense
    route, made, told = drawn(routed), denoiser(routed), given(routed)
    noisy, phases = told.pop("noisy"), rotary(made, 16, 16)
    done = [
        counted(lambda one=one: see(made, noisy, **told, phases=phases, route=one)) / ROWS
        for one in (None, route)
    ]
    spared = dense - forward_flops(shape, image_px=16, text_tokens=WORDS)
    assert done[0] - done[1] == pytest.approx(spared, rel=0.01)
