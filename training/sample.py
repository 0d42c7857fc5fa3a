"""Sampling: batched, with classifier-free guidance, in Euler steps from noise to picture.

Ours, because the stock PRX pipelines of diffusers 0.42 fail with guidance and more than one prompt
(their time has two rows for 2B pictures), and because their step grid wastes its last step.

Does not see: whether what was drawn may be shown; drawn pictures are a dataset of their own.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from governance.canon import whole_file
from training.config import RunConfig
from training.model import CHANNELS, Model, Tokens, predict, rotary
from training.objective import to_pixels

GRID_COLUMNS = 8


@torch.no_grad()
def draw(
    model: Model, prompts: Sequence[str], config: RunConfig, *, seed: int
) -> list[Image.Image]:
    """Draw one picture a prompt; the same for the same seed."""
    wanted, rows = config.evaluation, len(prompts)
    told = Tokens.of(prompts, model.tokenizer, config.text.max_tokens).rows(range(rows))
    ids = torch.cat((torch.zeros_like(told.ids), told.ids))
    mask = torch.cat((torch.zeros_like(told.mask), told.mask))  # untold rows see no token
    text, phases = model.encode(ids, mask), rotary(model.transformer, config.image_px)
    shape = (rows, CHANNELS, config.image_px, config.image_px)
    noisy = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    grid = torch.linspace(1.0, 0.0, wanted.steps + 1)
    for now, following in pairwise(grid):
        untold, clean = predict(
            model.transformer,
            noisy.repeat(2, 1, 1, 1),
            times=now.expand(2 * rows),
            text=text,
            mask=mask,
            phases=phases,
        ).chunk(2)
        clean = untold + wanted.guidance * (clean - untold)
        velocity = (noisy - clean) / now.clamp(min=config.objective.time_floor)
        noisy = noisy + (following - now) * velocity
    return [_image(picture) for picture in to_pixels(noisy)]


def save_grid(path: Path, images: Sequence[Image.Image], *, zoom: int = 3) -> None:
    """Write pictures of one size as a PNG grid, eight in a row, enlarged without smoothing."""
    side = images[0].width * zoom
    columns = min(GRID_COLUMNS, len(images))
    sheet = Image.new("RGB", (columns * side, -(-len(images) // columns) * side))
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        tile = image.resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(tile, (column * side, row * side))
    with whole_file(path) as stream:
        sheet.save(stream, format="PNG")


def _image(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
