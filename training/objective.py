"""The objective: see a noisy picture, say the clean one; the error is weighed as a velocity.

x_t = (1 - t) x + t e. The model predicts x; the loss is |x' - x|^2 / max(t, floor)^2, which is the
squared error of the velocity (x_t - x) / t. Source: JiT, arXiv 2511.13720 (x-prediction with
velocity loss); PRX part 3 does the same. Teachers, where a config names some, add to it what a
perceptual distance and an alignment weigh (`perceptual.py`, `alignment.py`).

Does not see: whether a picture looks right; only squared errors.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Self

import torch
from torch import Tensor, nn

from training.config import ObjectiveConfig, RunConfig
from training.denoiser import Seen, rotary, see
from training.model import Model
from training.routing import Route
from training.taught.alignment import HEAD, at_patches, misalignment
from training.taught.perceptual import distance
from training.taught.teachers import Teacher
from training.text.tokens import Tokens
from training.times import drawn_times


@dataclass(frozen=True, slots=True, eq=False)
class Noised:
    """Pictures ready for the model: clean and noisy (B, 3, H, W) in -1..1, times (B,), captions.

    `states` (B, T, C) are those of the captions where they are known; `route` says which tokens
    of the pictures bypass which blocks, `aligned` whether tokens are held to a teacher's.
    """

    clean: Tensor
    noisy: Tensor
    times: Tensor
    ids: Tensor
    mask: Tensor
    states: Tensor | None = None
    route: Route | None = None
    aligned: bool = True

    @classmethod
    def at(cls, times: Tensor, *, clean: Tensor, noise: Tensor, tokens: Tokens) -> Self:
        """Mix noise in at given times (B,) in 0..1."""
        share = times[:, None, None, None]
        noisy = torch.lerp(clean, noise, share)
        return cls(clean, noisy, times, tokens.ids, tokens.mask, tokens.states)

    @classmethod
    def drawn(
        cls,
        pixels: Tensor,
        tokens: Tokens,
        config: RunConfig,
        dice: torch.Generator,
        *,
        aligned: bool = True,
    ) -> Self:
        """Draw times, noise, dropped captions and routes, in that order, for uint8 pixels."""
        rows, device = pixels.shape[0], pixels.device
        times = drawn_times(config.objective, rows, dice)
        clean = to_unit(pixels)
        noise = torch.randn(clean.shape, generator=dice, device=device)
        lots = torch.rand(rows, generator=dice, device=device)
        told = tokens.without(lots < config.objective.caption_drop_share)
        patches = pixels.shape[2] * pixels.shape[3] // config.model.patch_px**2
        route = Route.drawn(config.model, rows=rows, tokens=patches, dice=dice)
        noised = cls.at(times, clean=clean, noise=noise, tokens=told)
        return replace(noised, route=route, aligned=aligned)


class Objective(nn.Module):
    """The loss of some pictures, as a module, so that DDP and FSDP2 can stand around it.

    Its parts are what is trained. Teachers and a frozen text encoder are no parts of it.
    """

    def __init__(self, model: Model, config: ObjectiveConfig) -> None:
        super().__init__()
        self.transformer, self.heads = model.transformer, model.heads
        self.text_encoder = model.text_encoder if model.text_trained else None
        self.model, self.config = model, config
        self.phases: dict[tuple[int, ...], Tensor] = {}  # of each size of picture, made once

    def forward(self, noised: Noised) -> Tensor:
        """Return the mean velocity error of these pictures, and what teachers add to it."""
        with self.model.computing():
            return self._loss(noised)

    def _loss(self, noised: Noised) -> Tensor:
        teachers = self.model.teachers
        size = tuple(noised.noisy.shape[2:])
        if size not in self.phases:
            self.phases[size] = rotary(self.model.transformer, *size)
        tap = teachers.tap if noised.aligned else None
        seen = _seen(self.model, noised, phases=self.phases[size], tap=tap)
        weights = noised.times.clamp(min=self.config.time_floor).square().reciprocal()
        loss = (_squares(seen.clean, noised) * weights).mean()
        for teacher in teachers.perceptual:
            with torch.no_grad():
                wanted = teacher.maps(noised.clean)
            loss = loss + teacher.weight * distance(teacher.maps(seen.clean), wanted)
        if self.model.heads is None or teachers.repa is None:
            return loss
        if seen.tapped is None:  # heads that rest have gradients all the same: of zero
            return loss + sum((0.0 * p).sum() for p in self.model.heads.parameters())
        said = self.model.heads[HEAD](seen.tapped)
        return loss + teachers.repa.weight * self._misaligned(said, noised, teachers.repa)

    def _misaligned(self, said: Tensor, noised: Noised, teacher: Teacher) -> Tensor:
        patch_px = self.model.transformer.patch_size
        height, width = noised.clean.shape[2:]
        with torch.no_grad():
            features = teacher.maps(noised.clean)[-1]
            wanted = at_patches(features, (height // patch_px, width // patch_px))
        tap, route = self.model.teachers.tap, noised.route
        routed = route is not None and tap is not None and route.spans(tap)
        return misalignment(said, wanted, route if routed else None)


def errors(model: Model, noised: Noised) -> Tensor:
    """Return the model's squared error in each picture (B,), as mean over its values."""
    with model.computing():
        phases = rotary(model.transformer, *noised.noisy.shape[2:])
        return _squares(_seen(model, noised, phases=phases, tap=None).clean, noised)


def _squares(clean: Tensor, noised: Noised) -> Tensor:
    return (clean - noised.clean).square().mean(dim=(1, 2, 3))


def _seen(model: Model, noised: Noised, *, phases: Tensor, tap: int | None) -> Seen:
    text = noised.states
    return see(
        model.transformer,
        noised.noisy,
        times=noised.times,
        text=model.encode(noised.ids, noised.mask) if text is None else text,
        mask=noised.mask,
        phases=phases,
        route=noised.route,
        tap=tap,
    )


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
