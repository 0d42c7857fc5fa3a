"""The benchmark against PRX, driven through a tiny checkout of its names that is written here."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import prx_measures
import prx_theirs
import pytest
import torch
from composer_stub import Algorithm, Engine, Event, State, Time, Timestamp, TimeUnit
from prx_batch import HELDOUT, Feed, Shape
from torch import nn

from governance.errors import EvidenceMissing

BENCHMARKS = Path(prx_theirs.__file__).parent
CPU = torch.device("cpu")
TINY = Shape(
    width=16, depth=2, heads=2, patch=8, px=16, batch=4, bottleneck=8, words=12, text_width=8
)
CHECKOUT = {  # names as PRX has them, each with the least that answers to them
    "__init__": "",
    "models/__init__": "",
    "models/prx": """
        from torch import nn

        class PRX(nn.Module):
            def __init__(self, params):
                super().__init__()
                self.mixed = nn.Conv2d(3, 3, 1)
                self.told = nn.Linear(params["context_in_dim"], 3)

            def forward(self, image_latent, timestep, prompt_embeds, prompt_attention_mask):
                words = (prompt_embeds * prompt_attention_mask[:, :, None]).mean(dim=1)
                return self.mixed(image_latent) + self.told(words)[:, :, None, None]
    """,
    "models/vae_tower": """
        from torch import nn

        class VaeTower(nn.Module):
            def __init__(self, model_name, model_class, default_channels):
                super().__init__()
    """,
    "schedulers/__init__": "",
    "schedulers/scheduler": """
        class SchedulerConfig:
            def __init__(self, prediction_type):
                assert prediction_type == "x_prediction_flow_matching"

        class EulerDiscreteScheduler:
            def __init__(self, config, shift):
                self.shift = shift
    """,
    "dataset/__init__": "",
    "dataset/constants": """
        from enum import StrEnum, auto

        class BatchKeys(StrEnum):
            IMAGE = auto()
            PROMPT_EMBEDDING = auto()
            PROMPT_EMBEDDING_MASK = auto()
    """,
    "pipeline/__init__": "",
    "pipeline/composer_pipeline": """
        import torch
        from composer.models import ComposerModel

        class ComposerFMPipeline(ComposerModel):
            def __init__(self, denoiser, vae, text_tower, noise_scheduler, **settings):
                super().__init__()
                self.denoiser, self.vae, self.text_tower = denoiser, vae, text_tower

            def forward(self, batch):
                clean = batch["image"] * 2 - 1
                times = torch.rand(len(clean))
                noisy = torch.lerp(clean, torch.randn_like(clean), times[:, None, None, None])
                seen = self.denoiser(
                    image_latent=noisy,
                    timestep=times,
                    prompt_embeds=batch["prompt_embedding"],
                    prompt_attention_mask=batch["prompt_embedding_mask"],
                )
                share = times.clamp(min=0.05)[:, None, None, None]
                return {
                    "prediction": (noisy - seen) / share,
                    "target": (noisy - clean) / share,
                    "timesteps": times,
                    "noised_latents": noisy,
                }

            def loss(self, outputs, batch):
                loss = (outputs["prediction"] - outputs["target"]).square().mean()
                self.logger.log_metrics({"loss": loss})
                return loss
    """,
    "training/__init__": "",
    "training/optimizer": """
        import torch

        def create_standard_optimizer(model, optimizer_class, **settings):
            assert optimizer_class == "torch.optim.AdamW"
            return torch.optim.AdamW(model.parameters(), **settings)

        def create_muon_optimizer(model, muon_config, adam_config):
            raise NameError("name 'muon_update' is not defined")
    """,
    "algorithm/__init__": "",
    "algorithm/ema": """
        from composer.core import Algorithm, Event, Time, TimeUnit

        class EMA(Algorithm):
            def __init__(self, smoothing, update_interval, ema_start):
                self.every = Time.from_timestring(update_interval)
                assert self.every.unit is TimeUnit.BATCH
                self.acted = []

            def match(self, event, state):
                due = int(state.timestamp.batch) % int(self.every) == 0
                return event is not Event.BATCH_END or due

            def apply(self, event, state, logger):
                self.acted.append((event.name, int(state.timestamp.batch)))
    """,
}


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    for name, text in CHECKOUT.items():
        path = tmp_path / "prx" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return tmp_path


@dataclass
class Noting(Algorithm):
    on: Event
    seen: list[tuple[Event, int]] = field(default_factory=list)

    def match(self, event, state):
        return event is self.on

    def apply(self, event, state, logger):
        logger.log_metrics({"batch": int(state.timestamp.batch)})
        self.seen.append((event, int(state.timestamp.get(TimeUnit.BATCH))))


def test_only_an_algorithm_that_matches_acts() -> None:
    asked, other = Noting(Event.BATCH_END), Noting(Event.INIT)
    engine = Engine(State(nn.Linear(1, 1), Timestamp(3)), (asked, other))
    engine.run(Event.BATCH_END)
    assert asked.seen == [(Event.BATCH_END, 3)]
    assert other.seen == []


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("10ba", 10, TimeUnit.BATCH), ("2ep", 2, TimeUnit.EPOCH), ("0.5dur", 0.5, TimeUnit.DURATION)],
    ids=["batches", "epochs", "a share of the run"],
)
def test_a_time_is_read_with_its_unit(text: str, value: float, unit: TimeUnit) -> None:
    assert Time.from_timestring(text) == Time(value, unit)


def test_a_time_without_a_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="is no time"):
        Time.from_timestring("10")


def test_after_the_block_nothing_stands_in_for_anything(fake: Path) -> None:
    before, paths, load = set(sys.modules), list(sys.path), torch.hub.load
    with prx_theirs.checkout(fake):
        assert sys.modules["composer.core"].Algorithm is Algorithm
        assert Path(sys.modules["prx.pipeline"].__file__).is_relative_to(fake)
        assert torch.hub.load is not load
    added = {name.partition(".")[0] for name in set(sys.modules) - before}
    assert not added & {"composer", "lpips", "torchvision"}
    assert not any(name.startswith("prx.") for name in sys.modules)
    assert sys.path == paths
    assert torch.hub.load is load


def test_a_step_tells_algorithms_in_composers_order_and_learns(fake: Path) -> None:
    with prx_theirs.checkout(fake) as commit:
        theirs = prx_theirs.make_theirs(TINY, tricks="tread", lr=1e-2, device=CPU)
        feed = Feed.of(TINY, pictures=HELDOUT + 8, seed=0, device=CPU)
        aim, before = theirs.clean_apart(feed.heldout()), prx_measures.error(theirs, feed, seed=0)
        for number in range(60):
            theirs.step(feed.batch(number))
        after = prx_measures.error(theirs, feed, seed=0)
    (ema,) = theirs.engine.algorithms
    assert commit == "not known: no git checkout"
    acted = [(name, at) for name, at in ema.acted if not name.startswith("EVAL")]
    assert acted[:4] == [
        ("INIT", 0), ("FIT_START", 0), ("BATCH_START", 0), ("BATCH_START", 1),
    ]  # fmt: skip
    assert [at for name, at in ema.acted if name == "BATCH_END"] == [10, 20, 30, 40, 50, 60]
    assert aim < 1e-5
    assert after < 0.8 * before


def test_what_cannot_run_is_named_with_its_reason(fake: Path) -> None:
    with prx_theirs.checkout(fake):
        full = prx_theirs.make_theirs(TINY, tricks="full", lr=1e-2, device=CPU)
        muon = prx_theirs.muon_runs()
    assert full.pieces["EMA"] == "runs"
    assert full.pieces["Tread"].startswith("cannot run: ModuleNotFoundError")
    assert all("bfloat16" in full.pieces[name] for name in prx_theirs.IN_BF16)
    assert muon == "cannot run: NameError: name 'muon_update' is not defined"


def test_the_table_shows_both_sides_and_every_piece(fake: Path) -> None:
    asked = ["--rounds", "2", "--slice-s", "0.1", "--pictures", str(HELDOUT + 8), "--tricks"]
    shape = ["--width", "16", "--depth", "2", "--heads", "2", "--px", "16", "--batch", "4"]
    told = _script(fake, *asked, "tread", *shape)
    assert told.returncode == 0, told.stderr
    said = told.stdout
    assert {line.split()[0] for line in said.splitlines() if line} >= {"ours", "PRX", "ours:"}
    assert "PRX's Tread: cannot run" in said
    assert "ours: without Tread, which PRX cannot run here" in said
    assert "ours: EMA: every step here, every tenth there" in said
    assert "PRX's Muon: cannot run: NameError" in said
    assert "weights have no counterpart" in said
    assert "THIS IS NOT" not in said
    assert "it favours PRX" in said
    assert "CUDA: not measured" in said


def test_the_curve_holds_both_to_the_same_seconds(fake: Path) -> None:
    shape = ["--width", "16", "--depth", "1", "--heads", "2", "--px", "16", "--batch", "4"]
    asked = ["--seconds", "0.2", "--marks", "2", "--seeds", "2", "--pictures", str(HELDOUT + 8)]
    told = _script(fake, "--curve", *asked, *shape)
    assert told.returncode == 0, told.stderr
    assert "error after 0 s each, PRX / ours" in told.stdout
    assert "(n = 2)" in told.stdout


def test_without_a_checkout_evidence_is_missing(tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match="no checkout"), prx_theirs.checkout(tmp_path):
        pass
    assert EvidenceMissing.status == 5


def _script(path: Path, *asked: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCHMARKS / "prx.py", "--prx", path, *asked],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
