"""A window: what happens from one receipt line to the next.

Does not see: steps that a killed process took after its last checkpoint. They are done again, and
what they took the first time is in no line.
"""

from dataclasses import dataclass, field
from statistics import fmean, pstdev

from training.records.meters import Energy, Meter
from training.records.receipt import ReceiptLine
from training.state import Counts


@dataclass(slots=True, eq=False, kw_only=True)
class Window:
    """The losses since `began`, the counts of the last line, and a meter that began with them."""

    meter: Meter
    began: Counts
    losses: list[float] = field(default_factory=list)

    def stepped(self, loss: float) -> None:
        """Take note of a step."""
        self.losses.append(loss)
        self.meter.poll()

    def close(
        self,
        counts: Counts,
        *,
        energy: Energy,
        cost: float | None,
        currency: str,
        processes: int = 1,
    ) -> ReceiptLine:
        """Return the line of a checkpoint, whose digest is not known yet, and begin anew.

        Raises:
            ValueError: there was no step.
        """
        line = ReceiptLine(
            step=counts.step,
            first_sample=self.began.samples + 1,
            last_sample=counts.samples,
            receipt=counts.receipt,
            checkpoint="",
            loss_mean=fmean(self.losses),
            loss_std=pstdev(self.losses),
            loss_min=min(self.losses),
            loss_max=max(self.losses),
            seconds=counts.train_s - self.began.train_s,
            joules=energy.joules,
            joules_low=energy.joules_low,
            joules_high=energy.joules_high,
            joules_method=energy.joules_method,
            joules_source=energy.joules_source,
            cost_so_far=cost,
            currency=currency,
            processes=processes,
        )
        self.began, self.losses = counts, []
        return line
