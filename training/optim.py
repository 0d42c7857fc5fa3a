"""The optimiser, and the moving average of the weights.

AdamW moves everything; or Muon moves the matrices within the denoiser's blocks, and AdamW the rest.

Does not see: what the gradients are of.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.config import OptimiserConfig
from training.muon import MOMENTUM, Muon, Share, alone
from training.team.sharding import local, whole

TEXT = "text."  # how the names of its parameters begin
BLOCKS = "transformer.blocks."
MODULATION = ".modulation."  # six maps of one vector in one matrix: left to AdamW, like embeddings
MATRIX = 2  # dimensions; only matrices decay
COUNT = "step"  # a number, where the rest has the parameter's shape
ADAM_KEEPS = (COUNT, "exp_avg", "exp_avg_sq")
Named = Iterable[tuple[str, nn.Parameter]]


@dataclass(frozen=True, slots=True, eq=False)
class Optimiser:
    """One or two optimisers that each own some of the parameters, and step together."""

    parts: tuple[torch.optim.Optimizer, ...]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Return the groups of all parts."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """Move every parameter."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad()

    def state_of(self, parameter: nn.Parameter) -> Mapping[str, Tensor]:
        """Return what is kept for a parameter; zeros, from now on, before its first step."""
        owner = self._owner(parameter)
        if not owner.state.get(parameter):
            owner.state[parameter] = {
                name: torch.zeros((), device=parameter.device)
                if name == COUNT
                else torch.zeros_like(parameter)
                for name in ((MOMENTUM,) if isinstance(owner, Muon) else ADAM_KEEPS)
            }
        kept: Mapping[str, Tensor] = owner.state[parameter]
        return kept

    def _owner(self, parameter: nn.Parameter) -> torch.optim.Optimizer:
        return next(
            part
            for part in self.parts
            for group in part.param_groups
            if any(member is parameter for member in group["params"])
        )


def make_optimiser(
    parameters: Named,
    config: OptimiserConfig,
    *,
    rank: int = 0,
    world: int = 1,
    share: Share = alone,
) -> Optimiser:
    """Return the optimiser of a model: only matrices decay, and text learns at its own rate.

    Of `world` processes this is number `rank`; `share` adds up their tensors, as Muon asks.
    """
    named = list(parameters)
    turned = [p for name, p in named if config.kind == "muon" and _in_blocks(name, p)]
    others = [(name, p) for name, p in named if all(p is not other for other in turned)]
    adamw = _adamw(others, config)
    if not turned:
        return Optimiser((adamw,))
    muon = Muon(
        turned,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        rank=rank,
        world=world,
        share=share,
    )
    for group in muon.param_groups:
        group["rate_share"] = 1.0
    return Optimiser((muon, adamw))


def _in_blocks(name: str, parameter: nn.Parameter) -> bool:
    return name.startswith(BLOCKS) and MODULATION not in name and parameter.ndim == MATRIX


def _adamw(parameters: Named, config: OptimiserConfig) -> torch.optim.AdamW:
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


def step(optimiser: Optimiser, config: OptimiserConfig, *, lr_share: float) -> Tensor:
    """Clip the gradients, step at this share of the peak rate, return the norm before clipping."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = whole(nn.utils.get_total_norm(gradients))
    nn.utils.clip_grads_with_norm_(parameters, config.clip_norm, norm)
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
    torch._foreach_lerp_(local(averages), local(parameters), share)
