"""Compiling if it pays: the arithmetic, the trial against made seconds, and once for real."""

import shutil
from dataclasses import replace

import pytest
import torch

from training.compiling import SETTLING, TIMED, Trial, compile_pays, through_blocks
from training.config import load_preset
from training.denoiser import make_denoiser, predict, rotary
from training.records.record import RunRecord


class Machine:
    """Steps that take made seconds, some more when compiled blocks are met first."""

    def __init__(self, *, eager_s: float, compiled_s: float, compile_s: float) -> None:
        self.seconds = {False: eager_s, True: compiled_s}
        self.compile_s, self.compiled, self.switched = compile_s, False, []
        self.told: list = []

    def use(self, compiled: bool) -> None:  # noqa: FBT001  as the real one
        self.compiled = compiled
        self.switched.append(compiled)

    def step(self) -> float:
        first = self.compiled and self.compile_s
        self.compile_s = 0.0 if self.compiled else self.compile_s
        return self.seconds[self.compiled] + first

    def trained(self, trial: Trial, budget_s: float) -> int:
        steps, gone_s = 0, 0.0
        while gone_s < budget_s:
            took = self.step()
            gone_s, steps = gone_s + took, steps + 1
            trial.stepped(gone_s, steps_left=max(0.0, budget_s - gone_s) / took)
        return steps


def _trial(machine: Machine) -> Trial:
    return Trial(use=machine.use, agreed=lambda said: said, told=machine.told.append)


@pytest.mark.parametrize(
    ("eager_s", "compiled_s", "compile_s", "steps_left", "pays"),
    [(1.0, 0.8, 60.0, 301, True), (1.0, 0.8, 60.0, 299, False), (1.0, 1.1, 0.0, 1e9, False)],
)
def test_compiling_pays_when_it_saves_more_than_it_takes(
    eager_s, compiled_s, compile_s, steps_left, pays
) -> None:
    found = compile_pays(
        eager_s=eager_s, compiled_s=compiled_s, compile_s=compile_s, steps_left=steps_left
    )
    assert found is pays


def test_blocks_that_are_faster_compiled_stay_so_and_the_figures_are_kept() -> None:
    machine = Machine(eager_s=1.0, compiled_s=0.5, compile_s=40.0)
    trial = _trial(machine)
    steps = machine.trained(trial, 2000.0)
    said = trial.decision
    assert said is not None
    assert (said.compiled, said.eager_s, said.compiled_s) == (True, 1.0, 0.5)
    assert said.compile_s == pytest.approx(40.0)
    assert said.at_step == 2 * (SETTLING + TIMED)
    assert machine.switched == [True, True]
    assert machine.told == [said]
    assert steps > 2000 + 1500


def test_blocks_that_are_no_faster_go_back_to_what_they_were() -> None:
    machine = Machine(eager_s=1.0, compiled_s=1.01, compile_s=40.0)
    trial = _trial(machine)
    machine.trained(trial, 2000.0)
    assert machine.switched == [True, False]
    assert "no faster" in trial.decision.why


@pytest.mark.parametrize("budget_s", [60.0, 300.0, 600.0])
def test_with_little_time_nothing_is_tried(budget_s: float) -> None:
    machine = Machine(eager_s=1.0, compiled_s=0.1, compile_s=60.0)
    trial = _trial(machine)
    machine.trained(trial, budget_s)
    assert machine.switched == []
    assert trial.decision.compiled_s is None
    assert "too little time" in trial.decision.why


def test_all_processes_go_the_way_of_the_first() -> None:
    machine = Machine(eager_s=1.0, compiled_s=0.5, compile_s=40.0)
    trial = Trial(
        use=machine.use, agreed=lambda _: False, told=machine.told.append
    )  # the first sees too little time
    machine.trained(trial, 5000.0)
    assert machine.switched == []


def test_one_stalled_step_decides_nothing() -> None:
    machine = Machine(eager_s=1.0, compiled_s=0.5, compile_s=40.0)
    trial = _trial(machine)
    gone_s = 0.0
    for number in range(2 * (SETTLING + TIMED)):
        gone_s += machine.step() * (30.0 if number in (7, 25) else 1.0)
        trial.stepped(gone_s, steps_left=5000.0)
    assert trial.decision.compiled


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # three of torch's own, of which two end its compiler
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_blocks_really_compile_and_say_the_same() -> None:
    model = replace(load_preset("micro").model, width=16, depth=2, heads=2)
    transformer = make_denoiser(model, 8)
    told = {
        "times": torch.rand(2),
        "text": torch.randn(2, 3, 8),
        "mask": torch.ones(2, 3, dtype=torch.bool),
        "phases": rotary(transformer, 16, 16),
    }
    noisy, use = torch.randn(2, 3, 16, 16), through_blocks(transformer)
    before = predict(transformer, noisy, **told)
    names = set(transformer.state_dict())
    use(True)  # noqa: FBT003
    compiled = predict(transformer, noisy, **told)
    assert torch.allclose(before, compiled, atol=1e-5)
    assert set(transformer.state_dict()) == names
    use(False)  # noqa: FBT003
    assert torch.equal(predict(transformer, noisy, **told), before)


def test_a_run_says_once_why_it_did_not_compile(house, tiny) -> None:
    config = replace(tiny, compile="if_it_pays")
    house.start(house.envelope(config, 12.0), config, 12.0)
    said = RunRecord.read(house.workspace.runs / "run-1").compiled
    assert (said["compiled"], said["compile_s"]) == (False, None)
    assert "too little time" in said["why"]
    assert said["eager_s"] > 0
