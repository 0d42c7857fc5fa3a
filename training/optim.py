"""The optimiser, and the moving average of the weights.

Does not see: what the gradients are of.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.config import OptimiserConfig

TEXT = "text."  # how the names of its parameters begin
MATRIX = 2  # dimensions; only matrices decay


def make_optimiser(
    parameters: Iterable[tuple[str, nn.Parameter]], config: OptimiserConfig
) -> torch.optim.AdamW:
    """Return AdamW: only matrices decay, and the text encoder learns at its share of the rate."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        key = (name.startswith(TEXT), parameter.ndim >= MATRIX)
        groups.setdefault(key, []).append(parameter)
    described = [
        {
            "params": members,
            "weight_decay": config.weight_decay if matrix else 0.0,
            "rate_share": config.text_lr_share if text else 1.0,
        }
        for (text, matrix), members in groups.items()
    ]
    return torch.optim.AdamW(described, config.lr, (config.beta1, config.beta2), fused=True)


def step(optimiser: torch.optim.Optimizer, config: OptimiserConfig, *, lr_share: float) -> Tensor:
    """Clip the gradients, step at this share of the peak rate, return the norm before clipping."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm)
    for group in optimiser.param_groups:
        group["lr"] = config.lr * lr_share * group["rate_share"]
    optimiser.step()
    return norm


@torch.no_grad()
def average(
    averages: list[Tensor], parameters: list[nn.Parameter], *, decay: float, step: int
) -> None:
    """Move the averages towards the parameters, early on faster: the random start is forgotten."""
    share = 1.0 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(averages, [*parameters], share)
