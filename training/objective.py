"""The objective: see a noisy picture, say the clean one; the error is weighed as a velocity.

x_t = (1 - t) x + t e. The model predicts x; the loss is |x' - x|^2 / max(t, floor)^2, which is the
squared error of the velocity (x_t - x) / t. Source: JiT, arXiv 2511.13720 (x-prediction with
velocity loss); PRX part 3 does the same.

Does not see: whether a picture looks right; only squared errors.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from training.config import ObjectiveConfig
from training.model import Model, Tokens, predict


@dataclass(frozen=True, slots=True, eq=False)
class Noised:
    """A batch ready for the model: clean and noisy (B, 3, S, S) in -1..1, times (B,), captions."""

    clean: Tensor
    noisy: Tensor
    times: Tensor
    ids: Tensor
    mask: Tensor

    @classmethod
    def at(cls, times: Tensor, *, clean: Tensor, noise: Tensor, tokens: Tokens) -> Self:
        """Mix noise in at given times (B,) in 0..1."""
        share = times[:, None, None, None]
        noisy = torch.lerp(clean, noise, share)
        return cls(clean, noisy, times, tokens.ids, tokens.mask)

    @classmethod
    def drawn(
        cls, pixels: Tensor, tokens: Tokens, config: ObjectiveConfig, generator: torch.Generator
    ) -> Self:
        """Draw times, noise and dropped captions for uint8 pixels (B, 3, S, S)."""
        rows = pixels.shape[0]
        drawn = torch.randn(rows, generator=generator)
        times = torch.sigmoid(config.time_mean + config.time_std * drawn)
        clean = to_unit(pixels)
        noise = torch.randn(clean.shape, generator=generator)
        kept = torch.rand(rows, 1, generator=generator) >= config.caption_drop_share
        without = Tokens(
            tokens.ids * kept, tokens.mask & kept, tokens.truncated
        )  # the empty prompt
        return cls.at(times, clean=clean, noise=noise, tokens=without)

    def errors(self, model: Model, phases: Tensor, span: slice = slice(None)) -> Tensor:
        """Return the model's squared error in each picture (B,), as mean over its values."""
        mask = self.mask[span]
        seen = predict(
            model.transformer,
            self.noisy[span],
            times=self.times[span],
            text=model.encode(self.ids[span], mask),
            mask=mask,
            phases=phases,
        )
        return (seen - self.clean[span]).square().mean(dim=(1, 2, 3))

    def loss(self, model: Model, phases: Tensor, span: slice, *, time_floor: float) -> Tensor:
        """Return this span's part of the mean velocity error of the whole batch."""
        weights = self.times[span].clamp(min=time_floor).square().reciprocal()
        return (self.errors(model, phases, span) * weights).sum() / len(self.times)


def to_unit(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as floats in -1..1."""
    return pixels.float() / 127.5 - 1.0


def to_pixels(pictures: Tensor) -> Tensor:
    """Return floats in -1..1 as uint8 pixels; what lies outside is cut."""
    return ((pictures.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
