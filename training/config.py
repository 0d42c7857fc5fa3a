"""The settings of a run: a preset in YAML becomes one frozen record, and the record has a digest.

Every setting is named once in the preset; there are no defaults in code, so the digest in a
clearance covers all of them. Does not see: whether the settings train well.
"""

import re
from bisect import bisect_right
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Self

from governance.canon import Json, digest, parse_yaml
from governance.errors import UsageError
from governance.records import as_object
from training.settings import read_settings

PRESETS = Path(__file__).parent / "presets"
DECLARED = "declared"  # in the place of a digest: the one that is declared of the name
ROPE_STEP = 4  # a head holds two axes, each of an even number of channels


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The denoiser, a `PRXTransformer2DModel` that reads and writes pixels.

    `gate_start` is where the gates of its blocks begin: at 0, as in the stock class, a block first
    does nothing, and a run of a minute is half over before all of them work. With
    `resolution_embeds` the blocks are told the picture's height and width. While training, only
    `kept_share` of a picture's tokens go through the blocks from `routed_from` up to, not with,
    `routed_to`; the others bypass them (TREAD, arXiv 2501.04765). At a share of 1 all go.
    """

    patch_px: int
    width: int
    depth: int
    heads: int
    mlp_ratio: float
    bottleneck: int
    gate_start: float
    resolution_embeds: bool
    kept_share: float
    routed_from: int
    routed_to: int

    @property
    def routed(self) -> int:
        """Return how many blocks see only a share of the tokens."""
        return self.routed_to - self.routed_from if self.kept_share < 1 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsConfig:
    """A folder of weights by its name and the digest it must have; both '' where none is used.

    A preset that ships cannot know the digest and says `declared`: `pins.py` puts it there.
    """

    name: str
    sha256: str

    @property
    def pinned(self) -> bool:
        """Return whether the weights, where some are named, have a digest, or will be given one."""
        return not self.name or re.fullmatch(f"[0-9a-f]{{64}}|{DECLARED}", self.sha256) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """The text encoder: a small `T5EncoderModel` trained jointly, or a named one that is frozen.

    Of a named one only `max_tokens` and `width`, which must be its own, count here; its states are
    worked out `online`, kept before training (`cached`), or as the `planned` cost of both says.
    """

    encoder: WeightsConfig
    latents: str
    vocabulary: int
    max_tokens: int
    width: int
    depth: int
    heads: int
    mlp_width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """A frozen network, and how much what it says of a picture weighs in the loss.

    `block` is the denoiser's, counted from 0, that is aligned with it; a perceptual loss has none
    and leaves it at 0. Weights without a name teach nothing.
    """

    weights: WeightsConfig
    weight: float
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """Which times are drawn, what the loss divides by at least, and who else teaches.

    Times are logit-normal and shifted towards noise, t' = s t / (1 + (s - 1) t) with s
    `time_shift` (SD3, arXiv 2403.03206, eq. 23), but for `uniform_share` of them, which are even.
    """

    time_mean: float
    time_std: float
    time_shift: float
    uniform_share: float
    time_floor: float
    caption_drop_share: float
    repa: TeacherConfig
    perceptual: tuple[TeacherConfig, ...]


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
class StageConfig:
    """A stretch of the training time: its share, the pictures' side, how many make a batch."""

    time_share: float
    image_px: int
    batch_size: int
    repa: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Where pictures at training size are kept, and in how many shapes.

    `keep` is `memory`, `packed` (files on disk), or `planned`: packed if memory cannot hold them.
    With more than one of `shapes` a picture is cropped to the nearest in aspect, none longer than
    `widest` to 1; all have about as many patches as the square.
    """

    keep: str
    shapes: int
    widest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """All settings of a run.

    `earlier` stages come before the last one, which `image_px`, `batch_size`, `repa` and what is
    left of the time describe. Every batch is worked out in `parts`: threads on a CPU, one after
    the other on an accelerator, spread over the processes there are. `parallel` says how those
    share the model: `ddp` or `fsdp2`. `compile` is `never` or `if_it_pays`.
    """

    preset: str
    seed: int
    device: str
    precision: str
    compile: str
    parallel: str
    earlier: tuple[StageConfig, ...]
    image_px: int
    batch_size: int
    repa: bool
    parts: int
    data: DataConfig
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
        stages = self.stages
        return (
            (model.width % (ROPE_STEP * model.heads) == 0, "model.width is no multiple of 4 heads"),
            (text.width % text.heads == 0, "text.width is no multiple of text.heads"),
            (text.vocabulary > 256, "text.vocabulary does not hold the 256 bytes and the padding"),  # noqa: PLR2004
            *(
                (
                    s.batch_size % self.parts == 0,
                    "a batch_size, or an earlier one, is no multiple of parts",
                )
                for s in stages
            ),
            *(
                (
                    s.image_px % model.patch_px == 0,
                    "image_px, or an earlier one, is no multiple of model.patch_px",
                )
                for s in stages
            ),
            (
                sum(s.time_share for s in self.earlier) < 1,
                "the earlier stages take all of the time",
            ),
            (model.kept_share > 0, "model.kept_share is 0: nothing would be seen"),
            (
                0 <= model.routed_from <= model.routed_to <= model.depth,
                "model.routed_from to model.routed_to are no blocks of it",
            ),
            (self.objective.time_shift > 0, "objective.time_shift is not above 0"),
            (
                self.objective.repa.block < model.depth,
                "objective.repa.block is no block of the model",
            ),
            (
                bool(text.encoder.name) or text.latents != "cached",
                "text.latents is cached, and the states of an encoder in training do not last",
            ),
            (self.data.widest >= 1, "data.widest is below 1"),
            *(
                (said in allowed, f"{name} is none of {', '.join(allowed)}")
                for name, (said, allowed) in self._choices().items()
            ),
            (schedule.warmup_share + schedule.decay_share <= 1, "warm-up and decay exceed the run"),
            (0 < self.objective.time_floor < 1, "objective.time_floor is not between 0 and 1"),
            (self.evaluation.resamples > 1, "evaluation.resamples is below 2: no interval"),
            *(
                (weights.pinned, f"{role}.name has no sha256 beside it")
                for role, weights in self.networks().items()
            ),
        )

    def _choices(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        return {
            "device": (self.device, ("cpu", "cuda")),
            "precision": (self.precision, ("fp32", "bf16")),
            "compile": (self.compile, ("never", "if_it_pays")),
            "parallel": (self.parallel, ("ddp", "fsdp2")),
            "data.keep": (self.data.keep, ("memory", "packed", "planned")),
            "text.latents": (self.text.latents, ("online", "cached", "planned")),
            "optimiser.kind": (self.optimiser.kind, ("adamw", "muon")),
        }

    def networks(self) -> dict[str, WeightsConfig]:
        """Return every network by the setting that names it, or would."""
        taught = {
            f"objective.perceptual[{place}]": teacher.weights
            for place, teacher in enumerate(self.objective.perceptual)
        }
        return {
            "text.encoder": self.text.encoder,
            "objective.repa": self.objective.repa.weights,
            **taught,
            "evaluation.extractor": self.evaluation.extractor,
            "evaluation.clip": self.evaluation.clip,
        }

    def weights(self) -> dict[str, WeightsConfig]:
        """Return the named networks that shape what is trained, by the setting that names them."""
        return {
            role: weights
            for role, weights in self.networks().items()
            if weights.name and not role.startswith("evaluation.")
        }

    @property
    def stages(self) -> tuple[StageConfig, ...]:
        """Return all stages, in order; the last has what is left of the time."""
        left = 1.0 - sum(stage.time_share for stage in self.earlier)
        last = StageConfig(
            time_share=left, image_px=self.image_px, batch_size=self.batch_size, repa=self.repa
        )
        return (*self.earlier, last)

    def stage_at(self, elapsed_share: float) -> int:
        """Return the number of the stage at this share (0..1) of the training time."""
        ends = list(accumulate(stage.time_share for stage in self.earlier))
        return bisect_right(ends, elapsed_share)

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read a config. Raises UsageError for a key that is unknown, missing or mistyped."""
        return read_settings(cls, value, "the run config")

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
