"""What both sides of `prx.py` are fed: one shape, the same pictures, and the same text features.

Pictures are rendered scenes. Text features are random but fixed, one vector a word, as if a frozen
encoder had made them beforehand; both sides get the same tensors, padded to the same length.

Does not see: loading and decoding. Everything lies on the device before the clock starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from training.evaluate.scenes import caption, every_scene, render

TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # the middles of five equal bins
HELDOUT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The denoiser, the pictures and the text, for both sides."""

    width: int
    depth: int
    heads: int
    patch: int
    px: int
    batch: int
    bottleneck: int
    words: int
    text_width: int
    mlp_ratio: float = 3.5

    @property
    def axis(self) -> int:
        """Return how many channels of a head turn with one of the two axes."""
        return self.width // self.heads // 2

    @property
    def aligned_block(self) -> int:
        """Return the block whose tokens are held to a teacher's: PRX's, at half the depth."""
        return max(0, self.depth // 2 - 1)

    @property
    def last_routed(self) -> int:
        """Return the last block that only kept tokens go through, as in PRX part 3."""
        return self.depth - 2


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Pictures (B, 3, S, S) in -1..1, text (B, T, C), and its mask (B, T)."""

    clean: Tensor
    text: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Feed:
    """Pictures on the device; batch number n is the same for whoever asks."""

    rows: int
    seed: int
    pixels: Tensor  # (N, 3, S, S) uint8
    ids: Tensor  # (N, T)
    mask: Tensor  # (N, T)
    table: Tensor  # (V, C)

    @classmethod
    def of(cls, shape: Shape, *, pictures: int, seed: int, device: torch.device) -> Self:
        """Render scenes and give each word its vector."""
        dice, scenes = np.random.default_rng(seed), every_scene()
        chosen = [scenes[n] for n in dice.integers(0, len(scenes), pictures)]
        pixels = np.stack([np.asarray(render(scene, shape.px, dice)) for scene in chosen])
        told = [caption(scene).split() for scene in chosen]
        known = sorted({word for words in told for word in words})
        ids = torch.zeros(pictures, shape.words, dtype=torch.long)
        for row, words in enumerate(told):
            kept = words[: shape.words]
            ids[row, : len(kept)] = torch.tensor([1 + known.index(word) for word in kept])
        thrown = torch.Generator().manual_seed(seed)
        table = torch.randn(1 + len(known), shape.text_width, generator=thrown)
        return cls(
            rows=shape.batch,
            seed=seed,
            pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().to(device),
            ids=ids.to(device),
            mask=(ids > 0).to(device),
            table=table.to(device),
        )

    def batch(self, number: int) -> Batch:
        """Return a batch of what is not held out: new tensors, which may be written to."""
        dice = np.random.default_rng((self.seed, number))
        return self.at(dice.integers(0, len(self.pixels) - HELDOUT, self.rows).tolist())

    def heldout(self) -> Batch:
        """Return what no batch holds."""
        return self.at(range(len(self.pixels) - HELDOUT, len(self.pixels)))

    def at(self, places: Sequence[int]) -> Batch:
        """Return pictures by their places."""
        chosen = torch.tensor(list(places), device=self.pixels.device)
        clean = self.pixels[chosen].float() / 127.5 - 1.0
        return Batch(clean, self.table[self.ids[chosen]], self.mask[chosen])
