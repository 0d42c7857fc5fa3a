"""Recipes: a model and the stages it is trained in, as the plan needs them.

Does not see: whether a recipe trains well. PRX published no score of its 24-hour run.
"""

from dataclasses import dataclass, replace
from typing import Self

from governance.errors import UsageError
from training.config import RunConfig
from training.flops import HEAD_WIDTH, PASSES, Shape, forward_flops


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Steps at one size. `teacher_flops` are what teachers and perceptual losses add a picture."""

    image_px: int
    batch_size: int
    steps: int
    teacher_flops: float = 0.0

    @property
    def images(self) -> int:
        """Return how many pictures the stage sees."""
        return self.batch_size * self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is trained, on how many tokens of text, in which stages, and how it draws."""

    name: str
    shape: Shape
    text_tokens: int
    stages: tuple[Stage, ...]
    sampling_steps: int
    source: str
    drawing_passes: int = 2  # with guidance the model is asked twice a step

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """Return the recipe of a run config: one stage, whose length the deadline sets."""
        return cls(
            name=config.preset,
            shape=Shape.of(config),
            text_tokens=config.text.max_tokens,
            stages=(Stage(image_px=config.image_px, batch_size=config.batch_size, steps=1),),
            sampling_steps=config.evaluation.steps,
            source=f"the preset {config.preset}",
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
