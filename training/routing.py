"""Routing: some tokens of a picture bypass some blocks of the denoiser while it is trained.

Shapes are the same at every step, and nothing waits for the device: tokens are picked by the order
of random numbers, gathered, and scattered back.

Source: TREAD, arXiv 2501.04765.

Does not see: drawing, which is always dense.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from training.config import ModelConfig


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """The places (B, K) of the tokens that go through blocks `first` up to, not with, `end`."""

    kept: Tensor
    first: int
    end: int

    @classmethod
    def drawn(
        cls, config: ModelConfig, *, rows: int, tokens: int, dice: torch.Generator
    ) -> Self | None:
        """Choose for each picture which tokens are kept; None where all go through all blocks."""
        if not config.routed:
            return None
        lots = torch.rand(rows, tokens, generator=dice, device=dice.device)
        chosen = lots.topk(math.ceil(config.kept_share * tokens), dim=1, sorted=False).indices
        return cls(chosen.sort(dim=1).values, config.routed_from, config.routed_to)

    def taken(self, tokens: Tensor) -> Tensor:
        """Return the kept (B, K, C) of all tokens (B, L, C)."""
        return tokens.gather(1, self._places(tokens))

    def returned(self, tokens: Tensor, kept: Tensor) -> Tensor:
        """Return all tokens (B, L, C), with those that were kept (B, K, C) in their places."""
        return tokens.scatter(1, self._places(tokens), kept.to(tokens.dtype))

    def phases(self, phases: Tensor) -> Tensor:
        """Return the phases (B, 1, K, D / 2) of the kept tokens, of those of all (L, D / 2)."""
        return phases[self.kept][:, None]

    def spans(self, block: int) -> bool:
        """Return whether only kept tokens go through a block."""
        return self.first <= block < self.end

    def _places(self, tokens: Tensor) -> Tensor:
        return self.kept[..., None].expand(-1, -1, tokens.shape[-1])
