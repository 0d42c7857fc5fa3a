"""Sharding: a model spread over processes by FSDP2, and tensors between shards and wholes.

Every block is a unit of its own, gathered when it is worked on; the rest of the objective is one
more. What is not spread passes through unchanged, so the same code serves one process.

Does not see: which process a matrix is worked out by; `muon.py` decides that.
"""

from collections.abc import Callable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Replicate

from training.denoiser import THROUGH, attend

if TYPE_CHECKING:
    from training.objective import Objective

METHOD = "attend"  # of a block: FSDP2 gathers around methods, and ours is a function


def shard(objective: "Objective", mesh: DeviceMesh) -> nn.Module:
    """Spread the parameters of an objective over a mesh, in place, and return it."""
    transformer = objective.transformer
    for block in transformer.blocks:
        fully_shard(block, mesh=mesh)
    work_by(transformer, attend)
    setattr(transformer, THROUGH, _through)
    fully_shard(objective, mesh=mesh)
    return objective


def work_by(transformer: nn.Module, attended: Callable[..., Tensor]) -> None:
    """Let the blocks of a spread transformer be worked on by `attend`, or by it compiled."""
    for block in cast("nn.ModuleList", transformer.blocks):
        setattr(block, METHOD, MethodType(attended, block))
        register_fsdp_forward_method(block, METHOD)


def _through(block: nn.Module, *given: Tensor) -> Tensor:
    attended: Tensor = getattr(block, METHOD)(*given)
    return attended


def local(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return what this process holds of each tensor: its shard, or all of it."""
    return [tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in tensors]


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor gathered from all processes, which must all ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_of(part: Tensor, like: Tensor) -> Tensor:
    """Return the whole of which `part` is held here, spread as `like` is."""
    if not isinstance(like, DTensor):
        return part
    spread = DTensor.from_local(
        part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride()
    )
    return spread.full_tensor()


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """Return what this process holds of a whole, were it spread as `like` is."""
    if not isinstance(like, DTensor):
        return tensor
    everywhere = DTensor.from_local(tensor, like.device_mesh, [Replicate()], run_check=False)
    return everywhere.redistribute(placements=like.placements).to_local()


@torch.no_grad()
def gather_into(target: nn.Parameter | None, source: Tensor) -> None:
    """Copy a whole into a parameter; where there is none, only take part in gathering it."""
    found = whole(source)
    if target is not None:
        target.copy_(found)
