"""The benchmark against PRX, both sides: weights taken over, teachers as large, what is counted."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import composer_stub
import prx_measures
import prx_ours
import prx_taught
import prx_teachers
import prx_theirs
import pytest
import torch
from prx_batch import HELDOUT, Feed, Shape
from torch import nn

from training.denoiser import make_denoiser
from training.team.parallel import alone

BENCHMARKS = Path(prx_theirs.__file__).parent
CPU = torch.device("cpu")
TINY = Shape(
    width=16, depth=2, heads=2, patch=8, px=16, batch=4, bottleneck=8, words=12, text_width=8
)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("blocks.3.qk_norm.query_norm.scale", "blocks.3.attention.norm_q.weight"),
        ("blocks.3.qk_norm.key_norm.scale", "blocks.3.attention.norm_k.weight"),
        ("blocks.3.k_norm.scale", "blocks.3.attention.norm_added_k.weight"),
        ("blocks.3.attn_out.weight", "blocks.3.attention.to_out.0.weight"),
        ("blocks.3.gate_proj.weight", "blocks.3.gate_proj.weight"),
        ("final_layer.linear.bias", "final_layer.linear.bias"),
    ],
    ids=["query norm", "key norm", "text key norm", "output", "same in both", "outside a block"],
)
def test_a_weight_is_known_by_both_names(theirs: str, ours: str) -> None:
    assert prx_ours.translated(theirs) == ours


def test_weights_under_prx_names_are_taken_over() -> None:
    config = prx_ours.config_of(TINY, 1e-3)
    ours, other = (make_denoiser(config.model, TINY.text_width) for _ in range(2))
    theirs = {}
    for name, tensor in other.state_dict().items():
        back = name
        for prx, stock in prx_ours.NAMES:
            back = back.replace(stock, prx) if name.startswith("blocks.") else back
        theirs[back] = tensor
    assert set(theirs) != set(other.state_dict())
    assert prx_ours.take_weights(ours, theirs) == ""
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.parametrize(
    ("change", "said"),
    [({"other": torch.zeros(1)}, "no counterpart"), ({"txt_in.bias": torch.zeros(3)}, "shapes")],
    ids=["a weight too many", "another shape"],
)
def test_weights_that_do_not_fit_are_not_taken(change: dict, said: str) -> None:
    config = prx_ours.config_of(TINY, 1e-3)
    ours = make_denoiser(config.model, TINY.text_width)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    assert said in prx_ours.take_weights(ours, {**ours.state_dict(), **change})
    assert all(torch.equal(before[name], tensor) for name, tensor in ours.state_dict().items())


@pytest.mark.parametrize("pieces", [(), ("EMA", "Tread")], ids=["dense", "routed"])
def test_our_side_learns_with_a_thread_for_each_part(pieces: tuple[str, ...]) -> None:
    shape = replace(TINY, depth=3)
    feed = Feed.of(shape, pictures=HELDOUT + 8, seed=0, device=CPU)
    with alone(2) as team:
        ours = prx_ours.make_ours(shape, lr=1e-2, device=CPU, team=team, parts=2, pieces=pieces)
        before = prx_measures.error(ours, feed, seed=0)
        for number in range(60):
            ours.step(feed.batch(number))
    assert prx_measures.error(ours, feed, seed=0) < 0.8 * before


def test_half_of_our_tokens_bypass_the_blocks_that_prx_routes_around() -> None:
    shape = replace(TINY, depth=5, px=64)
    feed = Feed.of(shape, pictures=HELDOUT + 8, seed=0, device=CPU)
    with alone(1) as team:
        ours = prx_ours.make_ours(shape, lr=1e-2, device=CPU, team=team, parts=1, pieces=("Tread",))
    told = []
    for block in ours.transformer.blocks:
        block.gate_proj.register_forward_hook(lambda _, given, __: told.append(given[0].shape[1]))
    ours.loss(feed.batch(0))
    assert told == [64, 32, 32, 32, 64]  # PRX routes from 1 to depth - 2, both with


def test_what_our_side_has_otherwise_is_said() -> None:
    asked = {"EMA": prx_theirs.RUNS, "LPIPS": "cannot run: it is so", "Tread": prx_theirs.RUNS}
    said = prx_ours.differing(asked, ("EMA", "Tread"))
    assert said == [
        "without LPIPS, which PRX cannot run here", "EMA: every step here, every tenth there",
    ]  # fmt: skip


def test_batches_come_again_and_hold_nothing_that_is_held_out() -> None:
    feed = Feed.of(TINY, pictures=HELDOUT + 8, seed=0, device=CPU)
    again = Feed.of(TINY, pictures=HELDOUT + 8, seed=0, device=CPU)
    assert torch.equal(feed.batch(5).clean, again.batch(5).clean)
    assert not torch.equal(feed.batch(5).clean, feed.batch(6).clean)
    heldout = {row.numpy().tobytes() for row in feed.heldout().clean}
    drawn = {row.numpy().tobytes() for n in range(20) for row in feed.batch(n).clean}
    assert not heldout & drawn


@pytest.mark.parametrize(
    ("name", "published"),
    [("dinov2_vitb14_reg", 86.6e6), ("dinov2_vitl14_reg", 304.4e6), ("dinov3_vitl16", 303.1e6)],
)
def test_stand_ins_are_as_large_as_the_teachers(name: str, published: float) -> None:
    with torch.device("meta"):
        teacher = prx_teachers.Dino(prx_teachers.DINO[name])
    assert sum(p.numel() for p in teacher.parameters()) == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize(
    ("name", "published"), [("REPA", 303.1e6), ("LPIPS", 87.6e6), ("PerceptualDINO", 86.6e6)]
)
def test_our_teachers_are_as_large_as_their_models(name: str, published: float) -> None:
    """Source: DINOv3 and DINOv2 model tables; ConvNeXt-B without its classifier, 2201.03545."""
    with torch.device("meta"):
        teacher = prx_taught.NETWORKS[name]()
    assert sum(p.numel() for p in teacher.parameters()) == pytest.approx(published, rel=0.02)
    width = getattr(teacher.config, "hidden_sizes", None) or [teacher.config.hidden_size]
    assert prx_taught.WIDTHS[name] == width[-1]


def test_the_perceptual_stand_in_is_a_vgg_16_and_a_distance() -> None:
    lpips = prx_teachers.Lpips()
    convolutions = sum(p.numel() for p in lpips.stages.parameters())
    assert convolutions == 14_714_688  # of VGG-16 before its classifier, arXiv 1409.1556
    picture = torch.rand(2, 3, 32, 32)
    assert lpips(picture, picture).abs().max() == 0
    assert lpips(picture, 1 - picture).shape == (2, 1, 1, 1)


def test_features_of_patches_come_without_the_first_tokens() -> None:
    teacher = prx_teachers.Dino(prx_teachers.Size(16, 1, 2, 8))
    said = teacher.forward_features(torch.rand(2, 3, 32, 24))
    assert said["x_norm_patchtokens"].shape == (2, 12, 16)


def test_a_ratio_is_a_geometric_mean_with_its_interval() -> None:
    same = prx_measures.ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (same.value, same.low, same.high) == pytest.approx((2.0, 2.0, 2.0))
    spread = prx_measures.ratio([1.0, 4.0], [1.0, 1.0])
    assert spread.value == pytest.approx(2.0)
    assert spread.low < 2.0 < spread.high
    assert "no interval" in prx_measures.told(prx_measures.ratio([2.0], [1.0]))


@dataclass
class OneLayer:
    parameters: list[nn.Parameter]

    def loss(self, batch: torch.Tensor) -> torch.Tensor:
        return (self.parameters[0] * batch).sum()


def test_what_a_loss_keeps_is_counted_without_the_weights() -> None:
    side = OneLayer([nn.Parameter(torch.ones(5))])
    batch = torch.ones(7, 5, requires_grad=True)  # so that the weights are kept as well
    assert prx_measures.kept_bytes(side, batch) == 7 * 5 * 4


def test_times_lean_towards_noise_as_prx_draws_them() -> None:
    times = prx_ours.drawn_times(200_000, torch.Generator().manual_seed(0))
    # the middle of a shifted logit-normal is 3/4; a tenth is uniform instead
    below = 0.9 * 0.5 + 0.1 * 0.75
    assert float((times < 0.75).float().mean()) == pytest.approx(below, abs=4 / math.sqrt(200_000))


def test_the_stub_says_that_modules_are_packages() -> None:
    for name, module in composer_stub.modules().items():
        assert module.__spec__.name == name
        assert module.__path__ == []
