"""Recipes: a model and the stages it is trained in, as the plan needs them.

Does not see: whether a recipe trains well. PRX published no score of its 24-hour run.
"""

from dataclasses import dataclass, replace
from typing import Self

from governance.errors import UsageError
from training.config import RunConfig, StageConfig
from training.planning.flops import HEAD_WIDTH, PASSES, Shape, forward_flops
from training.planning.networks import NETWORKS, WITH_GRADIENT, WORTH_SHARE, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Steps at one size. `teacher_flops` are what teachers and perceptual losses add a picture.

    `time_share` is the stage's of the time; None gives it the share of its operations.
    """

    image_px: int
    batch_size: int
    steps: int
    teacher_flops: float = 0.0
    time_share: float | None = None

    @property
    def images(self) -> int:
        """Return how many pictures the stage sees."""
        return self.batch_size * self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is trained, on how many tokens of text, in which stages, and how it draws.

    `turns` says that Muon moves the blocks' matrices, `shares` that accelerators share the state,
    `packs` that pictures may lie on disk. `encoder_flops` are those of a caption's text, and
    `frozen_bytes` the weights of networks that do not learn; `unknown` are the names of those
    that no row of `networks.py` describes, and which count as nothing.
    """

    name: str
    shape: Shape
    text_tokens: int
    stages: tuple[Stage, ...]
    sampling_steps: int
    source: str
    drawing_passes: int = 2  # with guidance the model is asked twice a step
    parts: int = 1
    turns: bool = False
    shares: bool = False
    packs: bool = False
    latents: str = "cached"
    encoder_flops: float = 0.0
    frozen_bytes: float = 0.0
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """Return the recipe of a run config, the length of whose stages the deadline sets."""
        names = {weights.name for weights in config.weights().values()}
        encoder = NETWORKS.get(config.text.encoder.name)
        return cls(
            name=config.preset,
            shape=Shape.of(config),
            text_tokens=config.text.max_tokens,
            stages=tuple(_stage(config, stage) for stage in config.stages),
            sampling_steps=config.evaluation.steps,
            source=f"the preset {config.preset}",
            parts=config.parts,
            turns=config.optimiser.kind == "muon",
            shares=config.parallel == "fsdp2",
            packs=config.data.keep != "memory",
            latents=config.text.latents,
            encoder_flops=encoder.flops * config.text.max_tokens if encoder else 0.0,
            frozen_bytes=sum(NETWORKS[name].bytes for name in names & NETWORKS.keys()),
            unknown=tuple(sorted(names - NETWORKS.keys())),
        )

    @property
    def open_ended(self) -> bool:
        """Return whether the deadline alone says how long it is trained."""
        return all(stage.steps == 1 for stage in self.stages)

    @property
    def images(self) -> int:
        """Return how many pictures the whole recipe sees."""
        return sum(stage.images for stage in self.stages)

    @property
    def flops(self) -> float:
        """Return the operations of the whole recipe."""
        return sum(stage.images * self.image_flops(stage) for stage in self.stages)

    def image_flops(self, stage: Stage) -> float:
        """Return the operations that one picture of a stage costs as it is trained."""
        return self._taught_flops(stage) + (0.0 if self.keeps_text else self.encoder_flops)

    @property
    def keeps_text(self) -> bool:
        """Return whether text is encoded once, before training, where there is an encoder."""
        if self.latents != "planned":
            return self.latents == "cached"
        return self.encoder_flops > WORTH_SHARE * self._taught_flops(self.stages[0])

    def _taught_flops(self, stage: Stage) -> float:
        forward = forward_flops(self.shape, image_px=stage.image_px, text_tokens=self.text_tokens)
        return PASSES * forward + stage.teacher_flops

    def model_flops(self, stage: Stage) -> float:
        """Return what MFU counts for one picture: the dense model alone, forward and backward."""
        return PASSES * forward_flops(
            self.shape, image_px=stage.image_px, text_tokens=self.text_tokens, dense=True
        )

    def drawing_flops(self) -> float:
        """Return the operations of drawing one picture of the last stage's size."""
        forward = forward_flops(
            self.shape, image_px=self.stages[-1].image_px, text_tokens=self.text_tokens, dense=True
        )
        return self.drawing_passes * self.sampling_steps * forward

    def resized(self, parameters: float) -> Self:
        """Return the recipe with a model of about so many parameters: wider, as many blocks.

        Raises:
            UsageError: not even the narrowest model is so small, or the widest so large.
        """
        shapes = [
            replace(self.shape, heads=heads, width=heads * HEAD_WIDTH) for heads in range(1, 257)
        ]
        if not shapes[0].parameters() <= parameters <= shapes[-1].parameters():
            raise UsageError(
                f"{parameters:.3g} parameters are outside what {self.name} can be widened to, "
                f"{shapes[0].parameters():.3g} to {shapes[-1].parameters():.3g}; ask for others."
            )
        nearest = min(shapes, key=lambda shape: abs(shape.parameters() - parameters))
        return replace(self, name=f"{self.name}, {nearest.depth} blocks of {nearest.width}",
                       shape=nearest)  # fmt: skip


def _stage(config: RunConfig, stage: StageConfig) -> Stage:
    """Return a stage of a run config, with the operations of the teachers that are known."""
    objective = config.objective
    looks = [WITH_GRADIENT * _look(teacher.weights.name) for teacher in objective.perceptual]
    aligned = _look(objective.repa.weights.name) if stage.repa else 0.0
    return Stage(
        image_px=stage.image_px,
        batch_size=stage.batch_size,
        steps=1,
        teacher_flops=aligned + sum(looks),
        time_share=stage.time_share,
    )


def _look(name: str) -> float:
    known: Network | None = NETWORKS.get(name)
    return known.flops if known else 0.0


PRX_24H = Recipe(
    name="prx-24h",
    shape=Shape(
        patch_px=32, width=1792, depth=16, heads=28, mlp_ratio=3.5, bottleneck=256,
        text_width=2304,  # of T5Gemma-2B, precomputed
        routed=14, kept_share=0.5,  # TREAD, from the second block to the one before the last
    ),
    text_tokens=256,
    stages=(
        Stage(
            image_px=512, batch_size=1024, steps=100_000,
            teacher_flops=0.16e12 + 0.14e12 + 0.12e12,  # REPA, P-DINO, LPIPS
        ),
        Stage(
            image_px=1024, batch_size=512, steps=20_000,
            teacher_flops=0.14e12 + 0.48e12,  # P-DINO, LPIPS; REPA is dropped
        ),
    ),
    sampling_steps=28,  # what PRX's pipelines in diffusers 0.42 draw with
    source="PRX part 3, huggingface.co/blog/Photoroom/prx-part3, 2026-03-03",
)  # fmt: skip
