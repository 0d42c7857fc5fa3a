"""Times: which are drawn while training, and through which a picture is drawn. 1 is noise.

Does not see: the size of the pictures; a larger one needs more noise to look as noisy, which is
what `time_shift` is for.
"""

import torch
from torch import Tensor

from training.config import ObjectiveConfig


def shifted(times: Tensor, shift: float) -> Tensor:
    """Return times in 0..1 moved towards noise: s t / (1 + (s - 1) t).

    Source: SD3, arXiv 2403.03206, equation 23.
    """
    return shift * times / (1 + (shift - 1) * times)


def drawn_times(config: ObjectiveConfig, rows: int, dice: torch.Generator) -> Tensor:
    """Draw times (B,): logit-normal and shifted, but for a share that is uniform, as PRX does."""
    drawn = torch.randn(rows, generator=dice, device=dice.device)
    times = shifted(torch.sigmoid(config.time_mean + config.time_std * drawn), config.time_shift)
    if config.uniform_share:
        even, chosen = torch.rand(2, rows, generator=dice, device=dice.device)
        times = torch.where(chosen < config.uniform_share, even, times)
    return times


def drawing_times(steps: int, shift: float) -> Tensor:
    """Return the times (steps + 1,) from 1 to 0 through which a picture is drawn.

    Shifted as while training, so that steps are short where training was most: PRX does the same.
    """
    return shifted(torch.linspace(1.0, 0.0, steps + 1), shift)
