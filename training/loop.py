"""The training loop, in the order it happens. The budget is a question asked at each step.

Does not see: permission. Who calls this has admitted a clearance.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from governance.errors import PramanaError
from training import optim
from training.batches import Batch, Batches
from training.budget import Order, Watch
from training.config import RunConfig
from training.heartbeat import Heartbeat
from training.journal import Journal
from training.objective import Noised, Objective, dice
from training.parallel import Team
from training.record import Bar
from training.state import Training
from training.text import Tokens
from training.window import Window


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Surroundings:
    """What the loop works with and reports to."""

    config: RunConfig
    batches: Batches
    tokens: Tokens
    watch: Watch
    team: Team
    metrics: Journal
    window: Window
    heartbeat: Heartbeat
    save: Callable[[Training], None]
    stop: Callable[[], bool]
    bar: Bar  # told of each whole second of training

    def order(self) -> Order:
        """Return what to do next, as the first process of the team sees the time."""
        return self.team.agreed(self.watch.order(stop=self.stop()))


def train(training: Training, around: Surroundings) -> None:
    """Train until only the reserve is left, or `stop` says so.

    Raises:
        PramanaError: the loss is not a number.
    """
    config, watch = around.config, around.watch
    objective = Objective(training.model, config.objective)
    parameters = training.parameters()
    while (order := around.order()).goes_on:
        if order.save:
            around.save(training)
            watch.saved()
            continue
        counts = training.counts
        batch = around.batches.after(counts.samples, stage=config.stage_at(order.elapsed_share))
        loss_of = partial(_loss_of_part, objective, batch, around, step=counts.step)
        loss = around.team.gradients(loss_of, parameters, parts=around.batches.parts)
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
            batch.digests, loss=loss_now, lr_share=order.lr_share, train_s=watch.stepped()
        )
        around.metrics.append(training.counts.line(loss_now, norm_now, config.optimiser.lr))
        around.window.stepped(loss_now)
        around.heartbeat.beat(training.counts.step)
        around.bar(int(training.counts.train_s) - int(counts.train_s))


def _loss_of_part(
    objective: Objective, batch: Batch, around: Surroundings, number: int, *, step: int
) -> Tensor:
    part, config = batch.parts[number], around.config
    thrown = dice(config.seed, step=step, part=number)
    tokens = around.tokens.rows(part.places)
    loss: Tensor = objective(Noised.drawn(part.pixels, tokens, config.objective, thrown))
    return loss
