"""Muon: the published iteration and scale, batched by shape, and shared out over processes."""

import threading
from itertools import product

import pytest
import torch
from torch import nn

from training.muon import Muon, newton_schulz, newton_schulz_flops, owners

SHAPES = [(24, 8), (8, 24), (24, 8), (16, 16), (8, 8)]


def made(*shapes: tuple[int, int], seed: int = 0) -> list[nn.Parameter]:
    dice = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=dice)) for shape in shapes]


def push(parameters: list[nn.Parameter], seed: int) -> None:
    dice = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=dice)


def muon(parameters: list[nn.Parameter], **changes) -> Muon:
    return Muon(parameters, **{"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1, **changes})


@pytest.mark.parametrize("shape", [(48, 16), (16, 48), (32, 32)], ids=["tall", "wide", "square"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.bfloat16, 1e-3), (torch.float32, 0.02)], ids=["bf16", "fp32"]
)
def test_one_matrix_moves_as_torch_moves_it(shape, dtype, tolerance: float) -> None:
    ours, theirs = made(shape), made(shape)
    optimisers = (
        muon(ours, dtype=dtype),
        torch.optim.Muon(
            theirs, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
        ),
    )
    began = ours[0].detach().clone()
    for step in range(4):
        for parameters, optimiser in zip((ours, theirs), optimisers, strict=True):
            push(parameters, step + 1)
            optimiser.step()
    apart = (ours[0] - theirs[0]).norm() / (theirs[0] - began).norm()
    assert apart < tolerance


def test_singular_values_come_near_one_and_vectors_stay() -> None:
    dice = torch.Generator().manual_seed(3)
    left, _ = torch.linalg.qr(torch.randn(12, 12, generator=dice, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(20, 12, generator=dice, dtype=torch.float64))
    values = torch.linspace(0.1, 1.0, 12, dtype=torch.float64)
    turned = newton_schulz((left * values @ right.mT)[None])[0]
    inside = left.mT @ turned @ right
    assert torch.allclose(inside, inside.diagonal().diag(), atol=1e-10)
    assert inside.diagonal().min() > 0.5
    assert inside.diagonal().max() < 1.5


def test_the_iteration_is_the_published_polynomial() -> None:
    value = torch.tensor([[[0.3, 0.0], [0.0, 0.4]]], dtype=torch.float64)
    expected = value / 0.5
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    assert torch.allclose(newton_schulz(value), expected)


def test_a_batch_gives_each_matrix_what_it_gets_alone() -> None:
    together, apart = made(*SHAPES), made(*SHAPES)
    whole, singles = muon(together), [muon([parameter]) for parameter in apart]
    for step in range(3):
        push(together, step)
        push(apart, step)
        whole.step()
        for single in singles:
            single.step()
    for one, other in zip(together, apart, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_an_update_has_the_size_of_adamws() -> None:
    (parameter,) = made((64, 256))
    before = parameter.detach().clone()
    push([parameter], 1)
    muon([parameter], lr=1.0, weight_decay=0.0).step()
    rms = float((parameter.detach() - before).square().mean().sqrt())
    assert rms == pytest.approx(0.2, rel=0.2)  # 0.2 if every singular value were 1


def test_weights_decay_by_rate_and_decay() -> None:
    (parameter,) = made((4, 4))
    before = parameter.detach().clone()
    parameter.grad = torch.zeros(4, 4)
    muon([parameter], lr=0.5, weight_decay=0.1).step()
    assert torch.allclose(parameter, before * 0.95)


def test_what_has_no_gradient_stays() -> None:
    parameters = made((4, 4), (4, 4))
    before = [parameter.detach().clone() for parameter in parameters]
    muon(parameters).step()
    push(parameters[:1], 1)
    muon(parameters).step()
    assert not torch.equal(parameters[0], before[0])
    assert torch.equal(parameters[1], before[1])


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="matrices only"):
        muon([nn.Parameter(torch.zeros(3))])


def test_every_matrix_has_one_owner_and_the_work_is_level() -> None:
    shapes = [(5376, 1792), (3584, 1792), (1792, 1792), *[(6272, 1792)] * 3] * 16  # PRX-small
    for world in (1, 2, 8):
        owner = owners(shapes, world)
        load = [0] * world
        for shape, whose in zip(shapes, owner, strict=True):
            load[whose] += newton_schulz_flops(*shape)
        assert set(owner) == set(range(world))
        assert max(load) <= 1.02 * sum(load) / world
    assert owners(shapes, 8) == owners(list(shapes), 8)


def test_the_operations_of_prx_small_are_those_of_the_research_note() -> None:
    block = [(5376, 1792), (3584, 1792), (1792, 1792), *[(6272, 1792)] * 3]
    modulation = (10752, 1792)
    flops = 16 * sum(newton_schulz_flops(*shape) for shape in [*block, modulation])
    assert flops == pytest.approx(47.9e12, rel=0.1)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_that_share_move_as_one_does(world: int) -> None:
    alone, many = made(*SHAPES), [made(*SHAPES) for _ in range(world)]
    barrier, sums = threading.Barrier(world), [[] for _ in range(world)]

    def share_as(rank: int):
        def share(updates: list[torch.Tensor]) -> None:
            sums[rank] = [update.clone() for update in updates]
            barrier.wait()
            for place, update in enumerate(updates):
                update.copy_(sum(others[place] for others in sums))
            barrier.wait()

        return share

    optimisers = [
        muon(many[rank], rank=rank, world=world, share=share_as(rank)) for rank in range(world)
    ]
    one = muon(alone)
    for step in range(2):
        for parameters in (alone, *many):
            push(parameters, step)
        threads = [threading.Thread(target=optimiser.step) for optimiser in optimisers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        one.step()
    assert sum(len(optimiser.mine) for optimiser in optimisers) == len(SHAPES)
    for rank, place in product(range(world), range(len(SHAPES))):
        assert torch.allclose(many[rank][place], alone[place], atol=1e-6)


def test_processes_that_share_with_nobody_are_refused() -> None:
    with pytest.raises(ValueError, match="give `share`"):
        muon(made((4, 4)), world=2)
