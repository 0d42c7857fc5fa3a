"""The training loop, in the order it happens. The budget is a question asked at each step.

Does not see: permission. Who calls this has admitted a clearance.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from governance.errors import PramanaError
from training import optim
from training.batches import Batch, Batches
from training.budget import Order, Watch
from training.config import RunConfig
from training.objective import Noised, dice
from training.records.record import Bar
from training.saves import Saves
from training.state import Counts, Training
from training.team.parallel import Team, sent
from training.text.tokens import Tokens


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Surroundings:
    """What the loop works with and reports to."""

    config: RunConfig
    batches: Batches
    tokens: Tokens
    watch: Watch
    team: Team
    saves: Saves
    stop: Callable[[], bool]
    told: Callable[[Counts, float, float], None]  # after each step: counts, loss, gradient norm
    bar: Bar  # told of each whole second of training

    def order(self) -> Order:
        """Return what to do next, as the first process of the team sees the time."""
        stop = self.stop()
        return self.team.ordered(partial(self._order, stop=stop), stop=stop)

    def _order(self, *, stop: bool) -> Order:
        self.saves.settle()
        return self.watch.order(stop=stop)


def train(training: Training, around: Surroundings) -> None:
    """Train until only the reserve is left, or `stop` says so.

    Raises:
        PramanaError: the loss is not a number; what telling of a checkpoint raises.
    """
    config, team, watch = around.config, around.team, around.watch
    parameters = training.parameters()
    while (order := around.order()).goes_on:
        if order.save:
            around.saves.begin(training)
            watch.saved()
            continue
        counts = training.counts
        stage = config.stage_at(order.elapsed_share)
        batch = around.batches.after(counts.samples, stage=stage)
        noised = partial(_noised, batch, around, step=counts.step, stage=stage)
        loss = team.gradients(
            training.objective, noised, parameters=parameters, parts=around.batches.parts
        )
        norm = optim.step(training.optimiser, config.optimiser, lr_share=order.lr_share)
        optim.average(
            training.averages, parameters, decay=config.optimiser.ema_decay, step=counts.step
        )
        loss_now, norm_now = torch.stack((loss, norm)).tolist()  # the one host sync of a step
        if not math.isfinite(loss_now + norm_now):
            raise PramanaError(
                f"The loss or its gradient is not a number at step {counts.step}. Start again: it "
                "goes on from the last checkpoint. If it comes back, lower optimiser.lr."
            )
        training.counts = counts.after_step(
            len(batch.due), loss=loss_now, lr_share=order.lr_share, train_s=watch.stepped()
        )
        around.saves.saw(batch, loss_now)
        around.told(training.counts, loss_now, norm_now)
        around.bar(int(training.counts.train_s) - int(counts.train_s))


def _noised(batch: Batch, around: Surroundings, number: int, *, step: int, stage: int) -> Noised:
    part, config, device = batch.parts[number], around.config, around.team.device
    thrown = dice(config.seed, step=step, part=number, device=device.type)
    tokens, pixels = around.tokens.rows(part.places).to(device), sent(part.pixels, device)
    return Noised.drawn(pixels, tokens, config, thrown, aligned=config.stages[stage].repa)
