"""The optimiser of a model: who moves what, what is kept of it, and that it waits for nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from training import checkpoint, optim
from training.config import RunConfig
from training.muon import Muon
from training.state import Training
from training.text.tokens import make_tokenizer

WAITS = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "_to_copy")


class Waits(TorchDispatchMode):
    """Counts the operations for which a device would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.seen = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        self.seen += 1
        if name in WAITS:
            self.found.append(name)
        return function(*args, **(kwargs or {}))


@pytest.fixture(params=["adamw", "muon"])
def config(request, tiny: RunConfig) -> RunConfig:
    return replace(tiny, optimiser=replace(tiny.optimiser, kind=request.param))


def begun(config: RunConfig) -> Training:
    return Training.fresh(config, make_tokenizer(["a red circle"], 300))


def push(training: Training, config: RunConfig, steps: int, *, first: int = 0) -> None:
    for step in range(first, first + steps):
        dice = torch.Generator().manual_seed(step)
        for parameter in training.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=dice)
        optim.step(training.optimiser, config.optimiser, lr_share=0.5)
        training.counts = training.counts.after_step(
            config.batch_size, loss=1.0, lr_share=0.5, train_s=0.1
        )


def test_every_parameter_is_moved_by_one_part_only(config: RunConfig) -> None:
    training = begun(config)
    members = [id(p) for group in training.optimiser.param_groups for p in group["params"]]
    assert sorted(members) == sorted(id(p) for p in training.parameters())
    before = [p.detach().clone() for p in training.parameters()]
    push(training, config, 1)
    assert all(
        not torch.equal(was, now) for was, now in zip(before, training.parameters(), strict=True)
    )


def test_muon_moves_the_matrices_of_the_blocks_but_not_their_modulation(tiny: RunConfig) -> None:
    training = begun(replace(tiny, optimiser=replace(tiny.optimiser, kind="muon")))
    muon = training.optimiser.parts[0]
    assert isinstance(muon, Muon)
    ours = {id(p) for group in muon.param_groups for p in group["params"]}
    names = {name for name, p in training.model.named_parameters() if id(p) in ours}
    block = "transformer.blocks.0."
    assert names == {
        f"{block}{name}.weight"
        for name in (
            "attention.img_qkv_proj", "attention.txt_kv_proj", "attention.to_out.0",
            "gate_proj", "up_proj", "down_proj",
        )
    }  # fmt: skip


def test_what_comes_back_from_a_checkpoint_goes_on_bit_by_bit(
    tmp_path: Path, config, saved
) -> None:
    training = begun(config)
    push(training, config, 3)
    recorded = saved(tmp_path, training)
    again = checkpoint.load(tmp_path, 3, recorded=recorded, config=config)
    for one in (training, again):
        push(one, config, 2, first=3)
    for here, there in zip(training.parameters(), again.parameters(), strict=True):
        assert torch.equal(here, there)


def test_a_step_waits_for_nothing(config: RunConfig) -> None:
    training = begun(config)
    push(training, config, 1)  # makes what is kept
    for parameter in training.parameters():
        parameter.grad = torch.ones_like(parameter)
    with Waits() as waits:
        optim.step(training.optimiser, config.optimiser, lr_share=1.0)
        optim.average(training.averages, training.parameters(), decay=0.9, step=5)
    assert waits.seen > 10
    assert waits.found == []


def test_the_counter_of_waits_sees_one() -> None:
    with Waits() as waits:
        float(torch.ones(3).sum())
    assert waits.found == ["_local_scalar_dense"]
