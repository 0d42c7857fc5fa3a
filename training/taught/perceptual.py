"""Perceptual distance: how far two pictures are apart for a network that looks at them.

Source: LPIPS, arXiv 1801.03924, equation 1, with all of its learned weights at 1. Of a single map
it is twice PRX's P-DINO, which is 1 less the mean cosine of patch features.

Does not see: which network, or at how many of its layers; `teachers.py` chooses those.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def distance(seen: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return the mean distance of a batch, from its features at some layers, each (B, D, h, w)."""
    apart = [_apart(one, other) for one, other in zip(seen, wanted, strict=True)]
    return torch.stack(apart).sum()


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Return the squared difference of features of length 1: a sum over channels, else a mean."""
    difference = functional.normalize(one, dim=1) - functional.normalize(other, dim=1)
    return difference.square().sum(dim=1).mean()
