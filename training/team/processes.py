"""A team of processes, as `torchrun` starts them: DDP, or FSDP2 where the model is spread.

Orders and what is told go over gloo, gradients over NCCL on accelerators; checkpoints have a group
of their own, because they are written while training goes on.

Does not see: why a process is gone. That it is gone ends the others, and the run can be resumed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from governance.errors import PramanaError, UsageError
from training.budget import Order
from training.config import RunConfig
from training.team.launch import Launch
from training.team.parallel import device_of, one_by_one
from training.team.sharding import shard

if TYPE_CHECKING:
    from training.objective import Noised, Objective

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)  # torch's own for gloo; who died is noticed at once, who hangs then
NOTHING = Order(goes_on=True, save=False, lr_share=0.0, elapsed_share=0.0)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Processes:
    """One process of several. `writers` is the group in which checkpoints are written."""

    rank: int
    world: int
    device: torch.device
    sharded: bool
    writers: distributed.ProcessGroup

    def first(self, work: Callable[[], T]) -> T:
        """Do `work` in the first process and return what it gives everywhere.

        Raises:
            PramanaError: what the first process raised; or another process is gone.
        """
        said: list[T | PramanaError | None] = [None]
        if self.rank == 0:
            try:
                said = [work()]
            except PramanaError as fault:
                said = [fault]
        with _together():
            distributed.broadcast_object_list(said)
        [given] = said
        if isinstance(given, PramanaError):
            raise given
        return cast("T", given)

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do `work` in the first process and then in the others; its refusal ends all."""
        done: list[T] = []
        self.first(lambda: done.append(work()))
        return done[0] if done else work()

    def ordered(self, order: Callable[[], Order], *, stop: bool) -> Order:
        """Return what the first process orders; `stop` in any of them ends all.

        Raises:
            PramanaError: what `order` raised in the first process; or another process is gone.
        """
        said, fault = NOTHING, None
        if self.rank == 0:
            try:
                said = order()
            except PramanaError as raised:
                fault = raised
        ends = stop or not said.goes_on
        word = torch.tensor(
            [fault is not None, ends, said.save, said.lr_share, said.elapsed_share],
            dtype=torch.float64,
        )
        self._sum(word)
        faults, ends_count, save, lr_share, elapsed_share = word.tolist()
        if faults:
            self.first(lambda: _raise(fault))
        return Order(
            goes_on=not ends_count,
            save=bool(save),
            lr_share=lr_share,
            elapsed_share=elapsed_share,
        )

    def gathered(self, said: T) -> list[T]:
        """Return what every process says, in the first; the others get nothing."""
        words = cast("list[T]", [None] * self.world) if self.rank == 0 else None
        with _together():
            distributed.gather_object(said, words)
        return words or []

    def share(self, tensors: list[Tensor]) -> None:
        """Add up tensors over all processes, in place and in one message."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        self._sum(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, found in zip(tensors, torch.split(flat, sizes), strict=True):
            tensor.copy_(found.view_as(tensor))

    def around(self, objective: "Objective") -> nn.Module:
        """Return the objective with DDP around it, or with its parameters spread by FSDP2."""
        if self.sharded:
            return shard(objective, init_device_mesh(self.device.type, (self.world,)))
        return DistributedDataParallel(
            objective,
            device_ids=None if self.device.type == "cpu" else [self.device],
            forward_sync_buffers=False,
            gradient_as_bucket_view=True,
        )

    def gradients(
        self,
        objective: nn.Module,
        noised: "Callable[[int], Noised]",
        *,
        parameters: Sequence[nn.Parameter],
        parts: Sequence[int],
    ) -> Tensor:
        """Work out this process's parts one after another; the last adds up over all processes."""
        with _together():
            mean = one_by_one(
                objective,
                noised,
                parameters=parameters,
                parts=parts,
                unshared=lambda: _unshared(objective),
            )
        loss = mean / self.world
        self._sum(loss)
        return loss

    def _sum(self, tensor: Tensor) -> None:
        with _together():
            distributed.all_reduce(tensor)


def _unshared(objective: nn.Module) -> AbstractContextManager[None]:
    """Keep gradients to this process for as long as the context lasts."""
    if isinstance(objective, DistributedDataParallel):
        return objective.no_sync()
    return _spread_later(cast("FSDPModule", objective))


@contextmanager
def _spread_later(objective: FSDPModule) -> Iterator[None]:
    objective.set_requires_gradient_sync(requires_gradient_sync=False)
    try:
        yield
    finally:
        objective.set_requires_gradient_sync(requires_gradient_sync=True)


def _raise(fault: PramanaError | None) -> NoReturn:
    raise fault or PramanaError("A process of this run failed; start the run again.")


@contextmanager
def _together() -> Iterator[None]:
    """Say in a sentence that another process is gone; gloo says it as a RuntimeError."""
    try:
        yield
    except RuntimeError as fault:
        if not isinstance(fault, distributed.DistError) and "gloo" not in str(fault):
            raise
        raise PramanaError(
            "Another process of this run is gone or does not answer, so this one ends as well. "
            "Start the run again: it goes on from its last checkpoint, to the same deadline."
        ) from fault


@contextmanager
def processes(config: RunConfig, launch: Launch) -> Iterator[Processes]:
    """Meet the other processes, and part from them when the block ends.

    Raises:
        UsageError: the parts of a batch cannot be dealt out evenly.
    """
    if config.parts % launch.world:
        raise UsageError(
            f"A batch has {config.parts} parts, which {launch.world} processes cannot share "
            "evenly. Start a number of processes that divides them, or set parts."
        )
    accelerated = config.device != "cpu"
    device = device_of(config, launch.local)
    if accelerated:
        torch.cuda.set_device(device)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    backend = "cpu:gloo,cuda:nccl" if accelerated else "gloo"
    distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        team = Processes(
            rank=launch.rank,
            world=launch.world,
            device=device,
            sharded=config.parallel == "fsdp2",
            writers=cast(
                "distributed.ProcessGroup", distributed.new_group(backend="gloo", timeout=TIMEOUT)
            ),
        )
        yield team
        team.share([torch.zeros(1)])  # nobody hangs up while another is still being told
    finally:
        distributed.destroy_process_group()
        torch.set_num_threads(before)
