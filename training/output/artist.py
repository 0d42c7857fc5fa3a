"""The artist: draws with an exported folder what a door lets through, one seed a prompt.

A prompt draws the same picture whatever stands beside it and whatever of that is refused.

Does not see: what was refused, or why; it is only asked for the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from training.export import load
from training.records.record import Bars
from training.sample import TIME_FLOOR, Sampling, denoised

AT_ONCE = 16  # prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Artist:
    """A folder with a model in it, all prompts, and how to draw them."""

    folder: Path
    prompts: Sequence[str]
    seed: int
    steps: int
    guidance: float
    bars: Bars

    def __call__(self, places: Sequence[int]) -> Iterator[Image.Image]:
        """Yield the pictures of some prompts, by place. Raises UsageError as `load` does."""
        loaded, bar = load(self.folder), self.bars("drawing", len(places))
        sampling = Sampling(
            image_px=loaded.image_px,
            max_tokens=loaded.max_tokens,
            steps=self.steps,
            guidance=self.guidance,
            time_floor=TIME_FLOOR,
            time_shift=loaded.time_shift,
        )
        for first in range(0, len(places), AT_ONCE):
            chunk = places[first : first + AT_ONCE]
            noise = torch.cat([sampling.noise(1, seed=self.seed + place) for place in chunk])
            yield from denoised(
                loaded.model, [self.prompts[place] for place in chunk], sampling, noise
            )
            bar(len(chunk))
