"""Two cores without OpenMP: each thread takes a part of the batch, and gradients are summed.

OpenMP's own threads either sleep between operations, which costs more than these small operations
take, or spin, which stalls as soon as a neighbour works on the machine. Here the threads meet once
a step. The order of the sum is fixed, so the same batch gives the same bits every time.

Does not see: other processes or devices.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Workers:
    """Threads that compute parts of a batch at the same time."""

    pool: ThreadPoolExecutor
    count: int

    def gradients(
        self, loss_of: Callable[[slice], Tensor], parameters: Sequence[nn.Parameter], *, rows: int
    ) -> Tensor:
        """Put the gradient of a whole batch into the parameters and return its loss.

        Args:
            loss_of: the loss of the rows in a slice, divided by the rows of the whole batch.
            parameters: what to differentiate by; each gets a gradient.
            rows: how many rows the batch has.
        """

        def part(place: int) -> tuple[Tensor, tuple[Tensor, ...]]:
            span = slice(place * rows // self.count, (place + 1) * rows // self.count)
            loss = loss_of(span)
            return loss.detach(), torch.autograd.grad(loss, parameters)

        (loss, total), *others = self.pool.map(part, range(self.count))
        for other, gradients in others:
            loss = loss + other
            torch._foreach_add_(total, gradients)
        for parameter, gradient in zip(parameters, total, strict=True):
            parameter.grad = gradient
        return loss


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Yield `count` threads, with OpenMP kept to one thread each until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield Workers(pool, count)
    finally:
        torch.set_num_threads(before)
