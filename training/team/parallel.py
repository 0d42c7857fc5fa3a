"""A team works out one batch: each part by itself, then the gradients are added up.

On a CPU each part has a thread. OpenMP's own threads either sleep between operations, which costs
more than these small operations take, or spin, which stalls as soon as a neighbour works on the
machine. Here the threads meet once a step. On an accelerator parts follow one another. The order of
the sum is fixed, so the same batch gives the same bits every time.

Does not see: other processes; a team of several is in `processes.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from governance.errors import UsageError
from training.budget import Order
from training.config import RunConfig

if TYPE_CHECKING:
    from training.objective import Noised, Objective

T = TypeVar("T")
CPU = torch.device("cpu")


class Team(Protocol):
    """The processes of a run, as one of them sees them; number 0 decides, writes and tells."""

    @property
    def rank(self) -> int:
        """Return this process's number."""
        ...

    @property
    def world(self) -> int:
        """Return how many processes there are."""
        ...

    @property
    def device(self) -> torch.device:
        """Return where this process works."""
        ...

    @property
    def writers(self) -> ProcessGroup | None:
        """Return the group in which checkpoints are written; None where there is one process."""
        ...

    def first(self, work: Callable[[], T]) -> T:
        """Do `work` in the first process and return what it gives everywhere.

        What the first process refuses is refused everywhere.
        """
        ...

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do `work` in the first process and then in the others; its refusal ends all."""
        ...

    def ordered(self, order: Callable[[], Order], *, stop: bool) -> Order:
        """Return what the first process orders; `stop` in any of them ends all."""
        ...

    def gathered(self, said: T) -> list[T]:
        """Return what every process says, in the first; the others may get nothing."""
        ...

    def share(self, tensors: list[Tensor]) -> None:
        """Add up tensors over all processes, in place."""
        ...

    def around(self, objective: "Objective") -> nn.Module:
        """Return the objective as this team works with it; its parameters may change."""
        ...

    def gradients(
        self,
        objective: nn.Module,
        noised: "Callable[[int], Noised]",
        *,
        parameters: Sequence[nn.Parameter],
        parts: Sequence[int],
    ) -> Tensor:
        """Put the gradient of a whole batch into the parameters and return its loss.

        Args:
            objective: as `around` returned it.
            noised: gives the part of a number.
            parameters: what to differentiate by; each gets a gradient.
            parts: the numbers of this process's parts; all have as many pictures.
        """
        ...


@dataclass(frozen=True, slots=True)
class One:
    """One process: a thread for each part, or one part after the other where there is no pool."""

    pool: ThreadPoolExecutor | None = None
    device: torch.device = CPU
    rank: int = 0
    world: int = 1
    writers: None = None

    def first(self, work: Callable[[], T]) -> T:
        """Do `work`."""
        return work()

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do `work`."""
        return work()

    def ordered(self, order: Callable[[], Order], *, stop: bool) -> Order:  # noqa: ARG002  it knows
        """Return the order."""
        return order()

    def gathered(self, said: T) -> list[T]:
        """Return what this process says."""
        return [said]

    def share(self, tensors: list[Tensor]) -> None:
        """Share with nobody."""

    def around(self, objective: "Objective") -> nn.Module:
        """Return the objective as it is."""
        return objective

    def gradients(
        self,
        objective: nn.Module,
        noised: "Callable[[int], Noised]",
        *,
        parameters: Sequence[nn.Parameter],
        parts: Sequence[int],
    ) -> Tensor:
        """Work out all parts, and add up."""
        if self.pool is None:
            return one_by_one(objective, noised, parameters=parameters, parts=parts)

        def part(number: int) -> tuple[Tensor, tuple[Tensor, ...]]:
            loss = objective(noised(number)) / len(parts)
            return loss.detach(), torch.autograd.grad(loss, parameters)

        loss, total = _added(list(self.pool.map(part, parts)))
        for parameter, gradient in zip(parameters, total, strict=True):
            parameter.grad = gradient
        return loss


ALONE = One()


def one_by_one(
    objective: nn.Module,
    noised: "Callable[[int], Noised]",
    *,
    parameters: Sequence[nn.Parameter],
    parts: Sequence[int],
    unshared: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Tensor:
    """Work out parts one after another, all but the last within `unshared`.

    Returns:
        Their mean loss; the gradients are in the parameters.
    """
    for parameter in parameters:
        parameter.grad = None
    losses = []
    for number in parts:
        with nullcontext() if number == parts[-1] else unshared():
            loss = objective(noised(number)) / len(parts)
            loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on the device, or on its way there without anybody waiting."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


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


def device_of(config: RunConfig, local: int = 0) -> torch.device:
    """Return where the process of this number on its host works."""
    return CPU if config.device == "cpu" else torch.device(config.device, local)


def device_name() -> str:
    """Return the name of the accelerator. Raises UsageError where there is none."""
    if not torch.cuda.is_available():
        raise UsageError("The run config asks for cuda, and there is none here; set device: cpu.")
    return torch.cuda.get_device_name()


@contextmanager
def alone(parts: int, device: torch.device = CPU) -> Iterator[One]:
    """Yield a team of one process, with OpenMP kept to one thread each until the block ends."""
    if device.type != "cpu":
        yield One(device=device)
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(parts, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield One(pool)
    finally:
        torch.set_num_threads(before)
