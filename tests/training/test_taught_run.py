"""A whole run with everything at once: routing, alignment, perception, an encoder of others."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode

from governance.errors import Refused, Tampered
from governance.records import json_object
from training import checkpoint, optim
from training.config import RunConfig, StageConfig, TeacherConfig, WeightsConfig
from training.objective import Noised, dice
from training.planning.flops import train_flops
from training.records.record import quiet
from training.state import Training
from training.taught.weights import PLACE, PREPROCESSOR, folder_digest
from training.text.latents import CHOICE_FILE, prepared
from training.text.tokens import Tokens, load_tokenizer, make_tokenizer

CAPTIONS = ("a red circle at the left", "", "a blue cross", "a green square")
BUDGET_S = 12.0


def weights(folder: Path, network: torch.nn.Module, *, reads: bool) -> WeightsConfig:
    """Write a network as a real folder: with a tokenizer if it reads, a lens if it looks."""
    network.save_pretrained(folder)
    if reads:
        load_tokenizer(make_tokenizer(CAPTIONS, 300)).save_pretrained(folder)
    else:
        lens = {"size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        (folder / PREPROCESSOR).write_text(json.dumps(lens))
    return WeightsConfig(name=folder.name, sha256=folder_digest(folder))


@pytest.fixture
def taught(tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    place = tmp_path / "weights"
    monkeypatch.setenv(PLACE, str(place))
    torch.manual_seed(1)
    reader = transformers.T5EncoderModel(
        transformers.T5Config(
            d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=300, dropout_rate=0.0
        )
    )
    looker = transformers.Dinov2Model(
        transformers.Dinov2Config(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8
        )
    )
    maps = transformers.ResNetModel(
        transformers.ResNetConfig(
            hidden_sizes=[8] * 4, depths=[1] * 4, embedding_size=8, layer_type="basic"
        )
    )
    dino = weights(place / "dino", looker, reads=False)
    resnet = weights(place / "resnet", maps, reads=False)
    encoder = weights(place / "t5", reader, reads=True)
    return replace(
        tiny,
        earlier=(StageConfig(time_share=0.4, image_px=16, batch_size=8, repa=False),),
        model=replace(tiny.model, depth=3, patch_px=4, kept_share=0.5, routed_from=1, routed_to=2),
        text=replace(tiny.text, encoder=encoder, latents="cached"),
        objective=replace(
            tiny.objective,
            time_shift=3.0,
            uniform_share=0.1,
            repa=TeacherConfig(weights=dino, weight=0.5, block=1),
            perceptual=(
                TeacherConfig(weights=resnet, weight=0.1, block=0),
                TeacherConfig(weights=dino, weight=0.01, block=0),
            ),
        ),
    )


def steps(training: Training, config: RunConfig, count: int) -> list[float]:
    """Train some steps at the whole rate, the first of them not aligned; return the losses."""
    pixels = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    tokens, losses = Tokens.of(CAPTIONS, training.model.tokenizer, 8).rows(range(4)), []
    for _ in range(count):
        step = training.counts.step
        thrown = dice(config.seed, step=step, part=0)
        loss = training.objective(Noised.drawn(pixels, tokens, config, thrown, aligned=step > 0))
        training.optimiser.zero_grad()
        loss.backward()
        optim.step(training.optimiser, config.optimiser, lr_share=1.0)
        optim.average(training.averages, training.parameters(), decay=0.99, step=step)
        losses.append(float(loss.detach()))
        training.counts = replace(training.counts, step=step + 1)
    return losses


def test_a_resumed_training_goes_on_bit_for_bit(tmp_path: Path, taught, saved) -> None:
    training = Training.fresh(taught, "")
    steps(training, taught, 3)
    recorded = saved(tmp_path / "run", training)
    straight = steps(training, taught, 4)
    resumed = checkpoint.load(tmp_path / "run", 3, recorded=recorded, config=taught)
    assert steps(resumed, taught, 4) == straight
    pairs = zip(resumed.parameters(), training.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    names = {name.split(".")[0] for name, _ in resumed.model.named_parameters()}
    assert names == {"transformer", "heads"}


def test_the_loss_falls_and_heads_learn(taught: RunConfig) -> None:
    training = Training.fresh(taught, "")
    before = [p.detach().clone() for p in training.model.heads.parameters()]
    losses = steps(training, taught, 60)
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[1:11])
    moved = [not torch.equal(a, b) for a, b in zip(before, training.model.heads.parameters(),
                                                   strict=True)]  # fmt: skip
    assert all(moved)


def test_a_whole_run_is_stopped_comes_back_and_is_drawn_with_by_stock_diffusers(
    house, taught: RunConfig, run: Path
) -> None:
    from diffusers import DiffusionPipeline, PRXPixelPipeline  # noqa: PLC0415  heavy

    envelope = house.envelope(taught, BUDGET_S)
    house.stopped(taught, envelope, BUDGET_S, at_step=1)
    result = house.start(envelope, taught, BUDGET_S)
    assert result.state == "finished"
    assert [told["step"] > 0 for told in house.told("run.resumed")] == [True]
    assert result.flops > train_flops(taught, 8) * result.samples_seen  # teachers count as well
    chosen = json_object((run / CHOICE_FILE).read_bytes(), CHOICE_FILE)
    assert (chosen["kept"], chosen["asked"]) == ("cached", "cached")
    files = {name.split("/")[0] for name in result.pipeline}
    assert files == {
        "model_index.json", "scheduler", "text_encoder", "tokenizer", "transformer",
        "usage_policy.md",
    }  # fmt: skip
    stock = DiffusionPipeline.from_pretrained(run / "pipeline", local_files_only=True)
    stock.set_progress_bar_config(disable=True)
    assert isinstance(stock, PRXPixelPipeline)
    assert stock.scheduler.config["shift"] == 3.0
    drawn = stock("a red circle", num_inference_steps=3, use_resolution_binning=False).images[0]
    assert drawn.size == (16, 16)


def test_a_teacher_swapped_while_a_run_was_down_ends_it(house, taught: RunConfig, tmp_path) -> None:
    envelope = house.envelope(taught, BUDGET_S)
    house.stopped(taught, envelope, BUDGET_S, at_step=1)
    (tmp_path / "weights" / "resnet" / "more.json").write_text("{}")
    with pytest.raises(Tampered, match="was pinned"):
        house.start(envelope, taught, BUDGET_S)


def test_weights_that_the_clearance_does_not_name_are_refused(house, taught: RunConfig) -> None:
    other = replace(
        taught, objective=replace(taught.objective, perceptual=taught.objective.perceptual[:1])
    )
    with pytest.raises(Refused, match="clearance"):
        house.start(house.envelope(other, BUDGET_S), taught, BUDGET_S)


def test_a_step_with_everything_waits_for_no_device(taught: RunConfig, tmp_path: Path) -> None:
    training = Training.fresh(taught, "")
    captions = Tokens.of(CAPTIONS, training.model.tokenizer, 8)
    tokens = prepared(taught, training.model, captions, folder=tmp_path, bars=quiet).rows(range(4))
    pixels = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
    asked: list[str] = []

    class Asked(TorchDispatchMode):
        """Notes the operations whose answer the host would have to wait for."""

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            asked.append(function.overloadpacket.__name__)
            return function(*args, **(kwargs or {}))

    with Asked():
        noised = Noised.drawn(pixels, tokens, taught, dice(1, step=0, part=0))
        training.objective(noised).backward()
    assert len(asked) > 100
    assert not {"_local_scalar_dense", "nonzero", "is_nonzero", "equal"} & set(asked)
