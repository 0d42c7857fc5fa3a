"""Saves: at a checkpoint it is gathered what all processes read, and the writing begins.

Training goes on meanwhile. Once the checkpoint is whole it is told; the next one waits for that.

Does not see: what telling means. `records/telling.py` writes receipts, ledger and pointer.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from training import checkpoint
from training.batches import Batch
from training.checkpoint import Written
from training.records.meters import Energy
from training.records.receipt import Read, ReceiptLine, in_order
from training.records.window import Window
from training.state import Counts, Training
from training.team.parallel import Team


@dataclass(slots=True, eq=False, kw_only=True)
class Saves:
    """The checkpoints of a run. `tell` gets the line of each that is whole, and its seconds.

    `cost` says what the run cost so far, and in which currency.
    """

    folder: Path
    team: Team
    window: Window
    cost: Callable[[], tuple[float | None, str]]
    tell: Callable[[ReceiptLine, float], None]
    writer: Executor
    read: Read = field(default_factory=Read)
    pending: tuple[Future[Written], ReceiptLine] | None = None

    def saw(self, batch: Batch, loss: float) -> None:
        """Take note of what was read for a step, and of its loss."""
        self.window.stepped(loss)
        self.read.digests.append(batch.digests)
        self.read.due.append(batch.due)

    def begin(self, training: Training) -> None:
        """Bring the receipt up to date and begin to write, once the last save is told.

        Raises:
            Tampered: other pictures were read than the run's order says.
            PramanaError: what telling raises.
        """
        self.finish()
        everyone = self.team.gathered((self.read.digests, self.window.meter.window()))
        read, energies = [said[0] for said in everyone], [said[1] for said in everyone]
        training.counts = self.team.first(partial(self._received, training.counts, read))
        self.read = Read()
        cost, currency = self.cost()
        line = self.window.close(
            training.counts,
            energy=Energy.added(energies),
            cost=cost,
            currency=currency,
            processes=self.team.world,
        )
        self.pending = checkpoint.begin(self.folder, training, self.writer, team=self.team), line

    def settle(self) -> None:
        """Tell the pending save if it is whole by now; the first process asks. Raises as `tell`."""
        if self.pending and self.pending[0].done():
            self._tell()

    def finish(self) -> None:
        """Wait for the pending save, and tell it. Raises as `tell`."""
        if self.pending:
            self.pending[0].result()
        self.team.first(self._tell)
        self.pending = None

    def _received(self, counts: Counts, read: list[list[tuple[bytes, ...]]]) -> Counts:
        return counts.received(in_order(read, self.read.due))

    def _tell(self) -> None:
        if self.pending:
            (future, line), self.pending = self.pending, None
            written = future.result()
            self.tell(replace(line, checkpoint=written.digest), written.seconds)
