"""A team works out one batch: each part by itself, then the gradients are added up.

On a CPU each part has a thread. OpenMP's own threads either sleep between operations, which costs
more than these small operations take, or spin, which stalls as soon as a neighbour works on the
machine. Here the threads meet once a step. The order of the sum is fixed, so the same batch gives
the same bits every time.

Does not see: other processes or devices.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """One process with a thread for each part."""

    pool: ThreadPoolExecutor
    rank: int = 0
    world: int = 1

    def agreed(self, said: T) -> T:
        """Return what the first process says, which is this one."""
        return said

    def gradients(
        self,
        loss_of: Callable[[int], Tensor],
        parameters: Sequence[nn.Parameter],
        *,
        parts: Sequence[int],
    ) -> Tensor:
        """Put the gradient of a whole batch into the parameters and return its loss.

        Args:
            loss_of: the mean loss of one part of the batch.
            parameters: what to differentiate by; each gets a gradient.
            parts: the numbers of the parts; all have as many pictures.
        """

        def part(number: int) -> tuple[Tensor, tuple[Tensor, ...]]:
            loss = loss_of(number) / len(parts)
            return loss.detach(), torch.autograd.grad(loss, parameters)

        loss, total = _added(list(self.pool.map(part, parts)))
        for parameter, gradient in zip(parameters, total, strict=True):
            parameter.grad = gradient
        return loss


def _added(
    said: Sequence[tuple[Tensor, tuple[Tensor, ...]]],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Add up losses and gradients half by half, in the tree in which processes would."""
    if len(said) == 1:
        return said[0]
    half = len(said) // 2
    (loss, total), (other, gradients) = _added(said[:half]), _added(said[half:])
    torch._foreach_add_(total, gradients)
    return loss + other, total


@contextmanager
def alone(parts: int) -> Iterator[Team]:
    """Yield a team of threads, with OpenMP kept to one thread each until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(parts, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield Team(pool)
    finally:
        torch.set_num_threads(before)
