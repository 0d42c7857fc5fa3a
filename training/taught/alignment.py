"""Alignment: tokens of a noisy picture learn to say what a teacher says of the clean one.

Source: REPA, arXiv 2410.06940, its L_REPA: less the mean cosine between the teacher's feature of
each patch and what a small head reads from the denoiser's token of that patch.

Does not see: which teacher; and drawing, for which the heads are not needed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.routing import Route

HEAD = "repa"


def make_head(width: int, taught_width: int) -> nn.Sequential:
    """Return what reads features from tokens: three layers with SiLU, as in the paper.

    It is as wide inside as the wider of both ends; the paper's is 2048 for 1152 and 768.
    """
    inner = max(width, taught_width)
    return nn.Sequential(
        nn.Linear(width, inner),
        nn.SiLU(),
        nn.Linear(inner, inner),
        nn.SiLU(),
        nn.Linear(inner, taught_width),
    )


def at_patches(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return a map of features (B, D, h, w) at the patches of another grid, as (B, L, D).

    Between places it is interpolated, and where the grid is coarser averaged over.
    """
    if features.shape[2:] != torch.Size(grid):
        features = functional.interpolate(features, size=grid, mode="bilinear", antialias=True)
    return features.flatten(2).mT


def misalignment(said: Tensor, wanted: Tensor, route: Route | None) -> Tensor:
    """Return 1 less the mean cosine of features said (B, K, D) and wanted (B, L, D).

    That is the paper's loss and 1. With a route, only the K tokens it keeps are compared.
    """
    kept = route.taken(wanted) if route else wanted
    return 1.0 - functional.cosine_similarity(said, kept, dim=-1).mean()
