"""Checkpoints: what comes back is what was saved, to the bit, or nothing comes back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as read_tensors

from governance.errors import EvidenceMissing, PramanaError, Tampered
from training import checkpoint, optim
from training.config import RunConfig
from training.objective import Noised, Objective, dice
from training.state import Counts, Training
from training.text.tokens import Tokens, make_tokenizer

CAPTIONS = ("a red circle", "a blue cross", "a green square", "")


@pytest.fixture
def training(tiny: RunConfig) -> Training:
    return Training.fresh(tiny, make_tokenizer(CAPTIONS, tiny.text.vocabulary))


def _steps(training: Training, config: RunConfig, count: int) -> list[float]:
    """Train some steps at the whole rate, and return the losses."""
    pixels = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    tokens = Tokens.of(CAPTIONS, training.model.tokenizer, 8)
    objective, losses = Objective(training.model, config.objective), []
    for _ in range(count):
        thrown = dice(config.seed, step=training.counts.step, part=0)
        loss = objective(Noised.drawn(pixels, tokens, config, thrown))
        training.optimiser.zero_grad()
        loss.backward()
        optim.step(training.optimiser, config.optimiser, lr_share=1.0)
        step = training.counts.step
        optim.average(training.averages, training.parameters(), decay=0.99, step=step)
        losses.append(float(loss.detach()))
        training.counts = training.counts.after_step(4, loss=losses[-1], lr_share=1.0, train_s=0.1)
    return losses


def test_a_resumed_training_goes_on_bit_for_bit(tmp_path: Path, training, tiny, saved) -> None:
    _steps(training, tiny, 3)
    recorded = saved(tmp_path, training)
    straight = _steps(training, tiny, 4)
    resumed = checkpoint.load(tmp_path, 3, recorded=recorded, config=tiny)
    assert resumed.counts.step == 3
    assert _steps(resumed, tiny, 4) == straight
    assert resumed.counts == training.counts
    found, expected = resumed.tensors(), training.tensors()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_steps_taken_while_a_checkpoint_is_written_are_not_in_it(
    tmp_path: Path, training, tiny
) -> None:
    _steps(training, tiny, 2)
    before = {name: tensor.clone() for name, tensor in training.tensors().items()}
    held = threading.Event()
    with ThreadPoolExecutor(1) as writer:
        writer.submit(held.wait)
        writing = checkpoint.begin(tmp_path, training, writer)
        _steps(training, tiny, 2)
        assert not writing.done()
        held.set()
    again = checkpoint.load(tmp_path, 2, recorded=writing.result().digest, config=tiny)
    assert again.counts.step == 2
    assert all(torch.equal(found, before[name]) for name, found in again.tensors().items())


@pytest.mark.parametrize("name", checkpoint.FILES)
def test_one_flipped_bit_in_any_file_is_refused(
    tmp_path: Path, training, tiny, name, saved
) -> None:
    _steps(training, tiny, 1)
    recorded = saved(tmp_path, training)
    path = checkpoint.folder_of(tmp_path, 1) / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Tampered, match="was recorded"):
        checkpoint.load(tmp_path, 1, recorded=recorded, config=tiny)


@pytest.mark.parametrize("name", checkpoint.FILES)
def test_a_file_that_is_gone_is_missing_evidence(
    tmp_path: Path, training, tiny, name, saved
) -> None:
    _steps(training, tiny, 1)
    recorded = saved(tmp_path, training)
    (checkpoint.folder_of(tmp_path, 1) / name).unlink()
    with pytest.raises(EvidenceMissing, match=name):
        checkpoint.load(tmp_path, 1, recorded=recorded, config=tiny)


def test_a_checkpoint_of_another_config_is_refused(tmp_path: Path, training, tiny, saved) -> None:
    _steps(training, tiny, 1)
    recorded = saved(tmp_path, training)
    wider = replace(tiny, model=replace(tiny.model, width=32))
    with pytest.raises(Tampered, match="does not fit"):
        checkpoint.load(tmp_path, 1, recorded=recorded, config=wider)


def test_what_a_killed_process_left_is_overwritten(tmp_path: Path, training, tiny, saved) -> None:
    _steps(training, tiny, 1)
    for name in ("step-000001", ".step-000001.part"):
        leftover = tmp_path / "checkpoints" / name
        leftover.mkdir(parents=True)
        (leftover / "half.safetensors").write_bytes(b"half")
    recorded = saved(tmp_path, training)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]
    assert checkpoint.load(tmp_path, 1, recorded=recorded, config=tiny).counts.step == 1


def test_the_last_two_checkpoints_are_kept_and_the_pointer_names_the_last(
    tmp_path: Path, training, tiny, saved
) -> None:
    assert checkpoint.latest_step(tmp_path) is None
    for _ in range(3):
        _steps(training, tiny, 1)
        saved(tmp_path, training)
        checkpoint.point(tmp_path, training.counts.step)
    assert checkpoint.latest_step(tmp_path) == 3
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-000002", "step-000003"]


def test_steps_that_were_never_told_are_forgotten_and_never_push_out_the_last(
    tmp_path: Path, training, tiny, saved
) -> None:
    for name in ("step-000007", "step-000008", "step-1000000", ".step-000009.part"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    for _ in range(2):
        _steps(training, tiny, 1)
        saved(tmp_path, training)
        checkpoint.point(tmp_path, training.counts.step)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-000001", "step-000002"]


def test_a_checkpoint_that_cannot_be_written_is_told_in_a_sentence(
    tmp_path: Path, training, saved
) -> None:
    (tmp_path / "checkpoints").write_bytes(b"no folder")
    with pytest.raises(PramanaError, match="step-000000 could not be written by every process"):
        saved(tmp_path, training)


def test_a_shard_of_several_that_is_gone_is_missing_evidence(
    tmp_path: Path, training, tiny, saved
) -> None:
    """As two processes leave them."""
    recorded, folder = saved(tmp_path, training), checkpoint.folder_of(tmp_path, 0)
    (folder / "weights.safetensors").rename(folder / "weights-00002-of-00002.safetensors")
    with pytest.raises(EvidenceMissing, match=r"lacks weights-00001-of-00002\.safetensors"):
        checkpoint.load(tmp_path, 0, recorded=recorded, config=tiny)


@pytest.mark.parametrize("text", ["", "step-", "1", "../../elsewhere", "step-1x"])
def test_a_pointer_to_no_checkpoint_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "latest").write_text(text)
    with pytest.raises(Tampered):
        checkpoint.latest_step(tmp_path)


def test_nothing_in_a_checkpoint_can_run_code(tmp_path: Path, training, tiny, saved) -> None:
    _steps(training, tiny, 1)
    saved(tmp_path, training)
    folder = checkpoint.folder_of(tmp_path, 1)
    assert sorted(path.name for path in folder.iterdir()) == sorted(checkpoint.FILES)
    for name in checkpoint.TENSORS:
        assert read_tensors((folder / f"{name}.safetensors").read_bytes())


def test_the_average_follows_the_weights_and_forgets_the_beginning(training, tiny) -> None:
    before = [average.clone() for average in training.averages]
    _steps(training, tiny, 20)
    moved = [not torch.equal(a, b) for a, b in zip(before, training.averages, strict=True)]
    assert sum(moved) > 0.9 * len(moved)
    fixed = [torch.ones(3)]
    for step in range(400):
        optim.average(fixed, [torch.nn.Parameter(torch.full((3,), 5.0))], decay=0.9, step=step)
    torch.testing.assert_close(fixed[0], torch.full((3,), 5.0))


def test_settling_makes_the_average_the_weights(training, tiny) -> None:
    _steps(training, tiny, 5)
    training.settle()
    pairs = zip(training.parameters(), training.averages, strict=True)
    assert all(torch.equal(parameter.detach(), average) for parameter, average in pairs)


def test_only_matrices_decay_and_the_text_encoder_learns_at_its_own_rate(training, tiny) -> None:
    groups = training.optimiser.param_groups
    for group in groups:
        decays = group["weight_decay"] > 0
        assert all((parameter.ndim >= 2) == decays for parameter in group["params"])
    assert {group["weight_decay"] for group in groups} == {0.01, 0.0}
    for parameter in training.parameters():
        parameter.grad = torch.ones_like(parameter)
    norm = optim.step(training.optimiser, tiny.optimiser, lr_share=0.25)
    assert float(norm) == pytest.approx(training.model.parameter_count() ** 0.5, rel=1e-4)
    text = {id(parameter) for parameter in training.model.text_encoder.parameters()}
    for group in groups:
        share = 0.1 if id(group["params"][0]) in text else 1.0
        assert group["lr"] == pytest.approx(0.25 * share * tiny.optimiser.lr)
    assert sum(len(group["params"]) for group in groups) == len(training.parameters())


@pytest.mark.parametrize(
    "spoiled",
    [{"step": 1}, [1], {**Counts().to_json(), "x": 1}],
    ids=["missing", "list", "added"],
)
def test_counts_with_other_fields_are_refused(spoiled) -> None:
    with pytest.raises(Tampered):
        Counts.from_json(spoiled)
