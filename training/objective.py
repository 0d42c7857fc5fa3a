"""The objective: see a noisy picture, say the clean one; the error is weighed as a velocity.

x_t = (1 - t) x + t e. The model predicts x; the loss is |x' - x|^2 / max(t, floor)^2, which is the
squared error of the velocity (x_t - x) / t. Source: JiT, arXiv 2511.13720 (x-prediction with
velocity loss); PRX part 3 does the same.

Does not see: whether a picture looks right; only squared errors.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Self

import torch
from torch import Tensor, nn

from training.config import ObjectiveConfig
from training.denoiser import predict, rotary
from training.model import Model
from training.text import Tokens


@dataclass(frozen=True, slots=True, eq=False)
class Noised:
    """Pictures ready for the model: clean and noisy (B, 3, H, W) in -1..1, times (B,), captions."""

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
        cls, pixels: Tensor, tokens: Tokens, config: ObjectiveConfig, dice: torch.Generator
    ) -> Self:
        """Draw times, noise and dropped captions for uint8 pixels (B, 3, H, W)."""
        rows, device = pixels.shape[0], pixels.device
        drawn = torch.randn(rows, generator=dice, device=device)
        times = torch.sigmoid(config.time_mean + config.time_std * drawn)
        clean = to_unit(pixels)
        noise = torch.randn(clean.shape, generator=dice, device=device)
        kept = torch.rand(rows, 1, generator=dice, device=device) >= config.caption_drop_share
        without = Tokens(
            tokens.ids * kept, tokens.mask & kept, tokens.truncated
        )  # the empty prompt
        return cls.at(times, clean=clean, noise=noise, tokens=without)


class Objective(nn.Module):
    """The loss of some pictures, as a module, so that DDP and FSDP2 can stand around it."""

    def __init__(self, model: Model, config: ObjectiveConfig) -> None:
        super().__init__()
        self.transformer, self.text_encoder = model.transformer, model.text_encoder
        self.model, self.config = model, config

    def forward(self, noised: Noised) -> Tensor:
        """Return the mean velocity error of these pictures."""
        weights = noised.times.clamp(min=self.config.time_floor).square().reciprocal()
        return (errors(self.model, noised) * weights).mean()


def errors(model: Model, noised: Noised) -> Tensor:
    """Return the model's squared error in each picture (B,), as mean over its values."""
    seen = predict(
        model.transformer,
        noised.noisy,
        times=noised.times,
        text=model.encode(noised.ids, noised.mask),
        mask=noised.mask,
        phases=rotary(model.transformer, *noised.noisy.shape[2:]),
    )
    return (seen - noised.clean).square().mean(dim=(1, 2, 3))


def dice(seed: int, *, step: int, part: int, device: str = "cpu") -> torch.Generator:
    """Return the dice of one part of one step's batch.

    They depend on these numbers alone, so a run that comes back, or runs on another number of
    processes, throws the same.
    """
    word = sha256(f"{seed} {step} {part}".encode()).digest()[:8]
    return torch.Generator(device).manual_seed(int.from_bytes(word, "big") >> 1)


def to_unit(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as floats in -1..1."""
    return pixels.float() / 127.5 - 1.0


def to_pixels(pictures: Tensor) -> Tensor:
    """Return floats in -1..1 as uint8 pixels; what lies outside is cut."""
    return ((pictures.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
