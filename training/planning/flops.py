"""Arithmetic from shapes: how many operations and parameters a PRX denoiser takes.

Multiply and add count as two operations; a training step is a forward and a backward pass, three
times the forward. Nothing here is measured.

Does not see: norms, activations and softmax, which are under a hundredth; the text encoder; and
what a processor makes of it.
"""

from dataclasses import dataclass
from typing import Self

from training.config import RunConfig

CHANNELS = 3
HEAD_WIDTH = 64  # of PRX-small
TIME_WIDTH = 256  # sinusoids that diffusers' PRXTransformer2DModel embeds a time with
PASSES = 3.0  # forward, and backward by inputs and by weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A denoiser by its sizes. Blocks `routed` see only `kept_share` of the picture's tokens.

    Source: PRX part 3 and TREAD (arXiv 2501.04765): tokens bypass the blocks between two points.
    """

    patch_px: int
    width: int
    depth: int
    heads: int
    mlp_ratio: float
    bottleneck: int
    text_width: int
    routed: int = 0
    kept_share: float = 1.0

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """Return the shape of a run config, with the blocks that it routes past."""
        model = config.model
        return cls(
            patch_px=model.patch_px,
            width=model.width,
            depth=model.depth,
            heads=model.heads,
            mlp_ratio=model.mlp_ratio,
            bottleneck=model.bottleneck,
            text_width=config.text.width,
            routed=model.routed,
            kept_share=model.kept_share,
        )

    @property
    def patch_values(self) -> int:
        """Return how many numbers a patch holds."""
        return CHANNELS * self.patch_px**2

    def patches(self, image_px: int) -> int:
        """Return how many tokens a square picture is."""
        return (image_px // self.patch_px) ** 2

    def parameters(self) -> int:
        """Return how many numbers diffusers' `PRXTransformer2DModel` of this shape holds."""
        width, hidden = self.width, int(self.width * self.mlp_ratio)
        block = 6 * width**2 + 3 * width * hidden + 6 * width * (width + 1)
        heads = 3 * (width // self.heads)  # the scales of three norms over a head's channels
        ends = (
            self.bottleneck * (self.patch_values + 1)
            + (self.bottleneck + 1) * width
            + (self.text_width + 1) * width
            + (TIME_WIDTH + 1) * width
            + (width + 1) * width
            + 2 * width * (width + 1)
            + (width + 1) * self.patch_values
        )
        return self.depth * (block + heads) + ends


def forward_flops(shape: Shape, *, image_px: int, text_tokens: int, dense: bool = False) -> float:
    """Return the operations of one forward pass for one picture; `dense` leaves routing out.

    F = L [2N(4 + 3r)d² + 4Td² + 12d² + 4N(N + T)d] + 2N(pb + bd) + 2Tcd + 2Ndp, with N picture and
    T text tokens, width d, L blocks, gated MLP ratio r, patch values p, bottleneck b, text width c.

    Source: counted from diffusers' `PRXTransformer2DModel`; a test holds it to torch's own count.
    """
    whole, width, values = shape.patches(image_px), shape.width, shape.patch_values
    routed = 0 if dense else shape.routed
    blocks = (shape.depth - routed) * _block(shape, float(whole), text_tokens)
    blocks += routed * _block(shape, whole * shape.kept_share, text_tokens)
    entry = 2 * whole * shape.bottleneck * (values + width)
    return blocks + entry + 2 * text_tokens * shape.text_width * width + 2 * whole * width * values


def _block(shape: Shape, patches: float, text_tokens: int) -> float:
    width = shape.width
    return (
        2 * patches * (4 + 3 * shape.mlp_ratio) * width**2
        + 4 * text_tokens * width**2
        + 12 * width**2
        + 4 * patches * (patches + text_tokens) * width
    )


def train_flops(config: RunConfig, text_tokens: int, *, image_px: int = 0) -> float:
    """Return the operations of training on one sample, forward and backward.

    The denoiser only; the micro text encoder adds less than a tenth, and teachers count their own.
    Of the last stage's pictures, where no `image_px` is named.
    """
    image_px = image_px or config.image_px
    return PASSES * forward_flops(Shape.of(config), image_px=image_px, text_tokens=text_tokens)
