"""The settings of a run: a preset in YAML becomes one frozen record, and the record has a digest.

Every setting is named once in the preset; there are no defaults in code, so the digest in a
clearance covers all of them. Does not see: whether the settings train well.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Self, TypeVar, get_type_hints

from governance.canon import Json, digest, parse_yaml
from governance.errors import UsageError
from governance.records import as_object

PRESETS = Path(__file__).parent / "presets"
ROPE_STEP = 4  # a head holds two axes, each of an even number of channels
MOST = 2**31  # of anything: beyond it a setting is a slip of the pen
SIGNED = ("time_mean",)
OPTIMISERS = ("adamw", "muon")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The denoiser, a `PRXTransformer2DModel` that reads and writes pixels.

    `gate_start` is where the gates of its blocks begin: at 0, as in the stock class, a block first
    does nothing, and a run of a minute is half over before all of them work.
    """

    patch_px: int
    width: int
    depth: int
    heads: int
    mlp_ratio: float
    bottleneck: int
    gate_start: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """The text encoder, a small `T5EncoderModel`, and the byte-level BPE before it."""

    vocabulary: int
    max_tokens: int
    width: int
    depth: int
    heads: int
    mlp_width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """Which times are drawn (logit-normal), and what the loss divides by at least."""

    time_mean: float
    time_std: float
    time_floor: float
    caption_drop_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserConfig:
    """AdamW or Muon, gradient clipping, and the moving average of the weights.

    `kind` is `adamw` or `muon`; `momentum` is Muon's alone.
    """

    kind: str
    lr: float
    text_lr_share: float
    beta1: float
    beta2: float
    momentum: float
    weight_decay: float
    clip_norm: float
    ema_decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """Shares of the training time; seconds between checkpoints; guesses before measurements."""

    warmup_share: float
    decay_share: float
    checkpoint_s: float
    save_guess_s: float
    finish_guess_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsConfig:
    """A folder of weights by its name and the digest it must have; both '' where none is used."""

    name: str
    sha256: str

    @property
    def pinned(self) -> bool:
        """Return whether the weights, where some are named, have a digest."""
        return not self.name or re.fullmatch("[0-9a-f]{64}", self.sha256) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """What is kept out of training, how the samples that are judged are drawn, and who judges.

    `reference_samples` is how many training pictures the drawn ones are held against, at most;
    `resamples` how often a score is taken again for its interval.
    """

    heldout_share: float
    loss_samples: int
    prompts: int
    steps: int
    guidance: float
    reference_samples: int
    resamples: int
    extractor: WeightsConfig
    clip: WeightsConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """All settings of a run. `threads` each take a part of every batch."""

    preset: str
    seed: int
    image_px: int
    batch_size: int
    threads: int
    model: ModelConfig
    text: TextConfig
    objective: ObjectiveConfig
    optimiser: OptimiserConfig
    schedule: ScheduleConfig
    evaluation: EvaluationConfig
    watts_per_core: float

    def __post_init__(self) -> None:
        """Hold the settings to one another. Raises UsageError naming the first that cannot be."""
        for holds, said in self._conditions():
            if not holds:
                raise UsageError(f"This run config cannot be trained: {said}; correct it.")

    def _conditions(self) -> tuple[tuple[bool, str], ...]:
        text, model, schedule = self.text, self.model, self.schedule
        return (
            (self.image_px % model.patch_px == 0, "image_px is no multiple of model.patch_px"),
            (model.width % (ROPE_STEP * model.heads) == 0, "model.width is no multiple of 4 heads"),
            (text.width % text.heads == 0, "text.width is no multiple of text.heads"),
            (text.vocabulary > 256, "text.vocabulary does not hold the 256 bytes and the padding"),  # noqa: PLR2004
            (self.threads <= self.batch_size, "there are more threads than samples in a batch"),
            (schedule.warmup_share + schedule.decay_share <= 1, "warm-up and decay exceed the run"),
            (self.optimiser.kind in OPTIMISERS, "optimiser.kind is neither adamw nor muon"),
            (0 < self.objective.time_floor < 1, "objective.time_floor is not between 0 and 1"),
            (self.evaluation.resamples > 1, "evaluation.resamples is below 2: no interval"),
            (self.evaluation.extractor.pinned, "evaluation.extractor.name has no sha256 beside it"),
            (self.evaluation.clip.pinned, "evaluation.clip.name has no sha256 beside it"),
        )

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read a config. Raises UsageError for a key that is unknown, missing or mistyped."""
        return _record(cls, value, "the run config")

    def to_json(self) -> dict[str, Json]:
        """Return the config as JSON."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """Return the digest that a clearance binds."""
        return digest(self.to_json())


def presets() -> tuple[str, ...]:
    """Return the names of the presets that ship."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.yaml")))


def load_preset(name: str) -> RunConfig:
    """Return a preset by its name. Raises UsageError when there is none, or it is wrong."""
    if name not in presets():
        raise UsageError(f"There is no preset {name!r}; there are: {', '.join(presets())}.")
    settings = parse_yaml((PRESETS / f"{name}.yaml").read_text())
    return RunConfig.from_json({"preset": name, **as_object(settings, f"the preset {name}")})


def _record(kind: type[T], value: Json, where: str) -> T:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} is not a mapping of settings to values.")
    hints = get_type_hints(kind)
    wrong = sorted(value.keys() ^ hints.keys())
    if wrong:
        raise UsageError(f"{where} lacks or does not know {', '.join(wrong)}; name each once.")
    return kind(**{name: _setting(hints[name], value[name], name) for name in hints})


def _setting(kind: type, value: Json, name: str) -> object:
    """Return one setting, held to its type and range. Raises UsageError."""
    if is_dataclass(kind):
        return _record(kind, value, name)
    low = -MOST if name in SIGNED else 1 if kind is int and name != "seed" else 0
    high = 1 if name.endswith("_share") else MOST
    if kind is str:
        right = isinstance(value, str)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        right = False
    else:
        right = isinstance(value, (int, kind)) and low <= value <= high
    if not right:
        said = "a text" if kind is str else f"a number ({kind.__name__}) from {low} to {high}"
        raise UsageError(f"{name} must be {said}, not {value!r}.")
    return value
