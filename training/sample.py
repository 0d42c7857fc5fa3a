"""Sampling: batched, with classifier-free guidance, in Euler steps from noise to picture.

Ours, because the stock PRX pipelines of diffusers 0.42 fail with guidance and more than one prompt
(their time has two rows for 2B pictures), and because their step grid wastes its last step.

Does not see: whether what was drawn may be shown (`training.output.door` asks), or what it depicts:
drawn pictures are a dataset of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
from PIL import Image
from torch import Tensor

from governance.canon import write_whole
from training.config import RunConfig
from training.denoiser import CHANNELS, predict, rotary
from training.model import Model
from training.objective import to_pixels
from training.output.provenance import Origin
from training.text.tokens import Tokens
from training.times import drawing_times

GRID_COLUMNS = 8
TIME_FLOOR = 0.05  # as in every preset; at 20 steps or fewer it changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How pictures are drawn: their side, words read, steps and times, how hard a prompt pulls."""

    image_px: int
    max_tokens: int
    steps: int
    guidance: float
    time_floor: float
    time_shift: float

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """Return how a run draws."""
        return cls(
            image_px=config.image_px,
            max_tokens=config.text.max_tokens,
            steps=config.evaluation.steps,
            guidance=config.evaluation.guidance,
            time_floor=config.objective.time_floor,
            time_shift=config.objective.time_shift,
        )

    def noise(self, count: int, *, seed: int) -> Tensor:
        """Return what `count` pictures begin as, (N, 3, S, S), the same for the same seed."""
        shape = (count, CHANNELS, self.image_px, self.image_px)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def draw(
    model: Model, prompts: Sequence[str], config: RunConfig, *, seed: int
) -> list[Image.Image]:
    """Draw one picture a prompt; the same for the same seed."""
    sampling = Sampling.of(config)
    with model.computing():
        return denoised(model, prompts, sampling, sampling.noise(len(prompts), seed=seed))


@torch.no_grad()
def denoised(
    model: Model, prompts: Sequence[str], sampling: Sampling, noisy: Tensor
) -> list[Image.Image]:
    """Draw one picture a prompt out of noise (N, 3, S, S)."""
    rows = len(prompts)
    both = Tokens.of([""] * rows + list(prompts), model.tokenizer, sampling.max_tokens)
    both = both.rows(range(2 * rows))  # the first half is told nothing
    side = sampling.image_px
    text, phases = model.encode(both.ids, both.mask), rotary(model.transformer, side, side)
    for now, following in pairwise(drawing_times(sampling.steps, sampling.time_shift)):
        untold, clean = predict(
            model.transformer,
            noisy.repeat(2, 1, 1, 1),
            times=now.expand(2 * rows),
            text=text,
            mask=both.mask,
            phases=phases,
        ).chunk(2)
        clean = untold + sampling.guidance * (clean - untold)
        velocity = (noisy - clean) / now.clamp(min=sampling.time_floor)
        noisy = noisy + (following - now) * velocity
    return [_image(picture) for picture in to_pixels(noisy)]


def save_grid(path: Path, images: Sequence[Image.Image], *, origin: Origin, zoom: int = 3) -> None:
    """Write pictures of one size as a PNG grid, eight in a row, enlarged without smoothing.

    Like every picture that is handed out, the grid states its origin.
    """
    side = images[0].width * zoom
    columns = min(GRID_COLUMNS, len(images))
    sheet = Image.new("RGB", (columns * side, -(-len(images) // columns) * side))
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        tile = image.resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(tile, (column * side, row * side))
    write_whole(path, origin.encoded(sheet))


def _image(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
