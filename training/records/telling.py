"""Telling: what the first process of a run writes down while it trains, and tells the ledger.

Does not see: what was not saved. A step is in the metrics at once, in a receipt at a checkpoint.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from governance.canon import Json
from governance.clearance import check_standing
from governance.errors import Refused, Tampered
from governance.trail.ledger import Ledger
from training import checkpoint
from training.budget import Deadline, Watch
from training.compiling import Decision
from training.config import RunConfig
from training.planning.forecast import FORECAST_AT, Forecast
from training.records.journal import Journal
from training.records.meters import Rate
from training.records.receipt import ReceiptLine
from training.records.record import RunRecord
from training.state import Counts


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Telling:
    """The journals of a run, its record and its ledger."""

    folder: Path
    record: RunRecord
    envelope: bytes
    ledger: Ledger
    deadline: Deadline
    config: RunConfig
    rate: Rate | None = None

    @property
    def metrics(self) -> Journal:
        """Return the journal of steps."""
        return Journal(self.folder / "metrics.jsonl")

    @property
    def receipts(self) -> Journal:
        """Return the journal of checkpoints."""
        return Journal(self.folder / "receipts.jsonl")

    def cost(self) -> tuple[float | None, str]:
        """Return the cost since the run began, downtime as well, and its currency."""
        if self.rate is None:
            return None, ""
        gone_s = self.record.budget_s - self.deadline.time_left()
        return self.rate.cost(gone_s), self.rate.currency

    def rewound(self) -> tuple[int, str] | None:
        """Return the step to resume from and its digest, and drop what was told of later steps.

        Returns:
            None before the first checkpoint.

        Raises:
            Tampered: the receipts are not those that the ledger was told.
        """
        step = checkpoint.latest_step(self.folder)
        self.metrics.rewind(step or 0)
        lines = [ReceiptLine.from_json(line) for line in self.receipts.rewind(step or 0)]
        if step is None:
            return None
        told = [entry.body for entry in self.ledger.entries("run.checkpoint")]
        if lines and all(self._told(line) in told for line in lines):
            self.ledger.append("run.resumed", {"run": self.record.run, "step": step})
            return step, lines[-1].checkpoint
        raise Tampered(
            f"The receipts of run {self.record.run} up to step {step} are not those that the "
            "ledger was told; restore receipts.jsonl, or start a new run."
        )

    def step(self, counts: Counts, loss: float, norm: float, *, stage: int) -> None:
        """Take note of a step."""
        line = counts.line(loss, norm, self.config.optimiser.lr)
        self.metrics.append({**line, "stage": stage})

    def checkpoint(self, watch: Watch, line: ReceiptLine, seconds: float) -> None:
        """Write the receipt of a checkpoint that is whole, tell of it, and make it the latest.

        Args:
            watch: knows how many steps are still to come.
            line: with the checkpoint's digest.
            seconds: that writing went on.

        Raises:
            Refused: the clearance does not hold any longer; the run is stopped and sealed.
        """
        watch.wrote(seconds)
        self.receipts.append(line.to_json(), durable=True)
        self.ledger.append("run.checkpoint", self._told(line))
        checkpoint.point(self.folder, line.step)
        expected = line.step + int(watch.steps_left())
        record = RunRecord.read(self.folder) or self.record
        record = replace(record, reserve=watch.reserve, steps_expected=expected)
        if record.forecast is None:
            record = replace(record, forecast=self._forecast(watch, line))
        record.write(self.folder)
        try:
            now = datetime.fromtimestamp(self.deadline.clock(), UTC)
            check_standing(self.envelope, self.ledger, now)
        except Refused as fault:
            self._halt(fault)

    def decided(self, decision: Decision) -> None:
        """Write down whether compiling paid."""
        record = RunRecord.read(self.folder) or self.record
        replace(record, compiled=decision.to_json()).write(self.folder)

    def _forecast(self, watch: Watch, line: ReceiptLine) -> dict[str, Json] | None:
        """Return what is expected of the whole run, once enough of the budget has gone."""
        at_s, budget_s = self.deadline.clock() - self.record.started_at, self.record.budget_s
        if at_s < FORECAST_AT * budget_s:
            return None
        receipts = [ReceiptLine.from_json(told) for told in self.receipts.read()]
        early = Forecast.early(
            self.config,
            at_s=at_s,
            samples=line.last_sample,
            step=line.step,
            elapsed_share=watch.elapsed_share,
            steps_left=watch.steps_left(),
            joules=sum(receipt.joules for receipt in receipts),
            cost=self.rate.cost(budget_s) if self.rate else None,
        )
        return asdict(early)

    def expire(self, why: str) -> NoReturn:
        """Close a run whose time is over. Raises Refused."""
        replace(self.record, state="expired").write(self.folder)
        self.ledger.append("run.expired", {"run": self.record.run})
        raise Refused(f"Run {self.record.run} is closed as expired: {why}. Ask for a new one.")

    def _halt(self, why: Refused) -> NoReturn:
        """Stop for good: seal the weights, and say so. They are never resumed nor exported."""
        replace(self.record, state="halted").write(self.folder)
        checkpoint.seal(self.folder)
        self.ledger.append("run.halted", {"run": self.record.run})
        raise Refused(
            f"{why} Run {self.record.run} was stopped at a checkpoint, and its weights are sealed."
        )

    def _told(self, line: ReceiptLine) -> dict[str, Json]:
        """Return what the ledger is told of a checkpoint."""
        return {
            "run": self.record.run,
            "step": line.step,
            "receipt": line.receipt,
            "checkpoint": line.checkpoint,
        }
