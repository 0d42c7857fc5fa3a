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
from training.budget import Watch
from training.config import RunConfig
from training.data import ClearedSamples
from training.heartbeat import Heartbeat
from training.journal import Journal
from training.model import Tokens, rotary
from training.objective import Noised
from training.parallel import Workers
from training.record import Bar
from training.state import Training
from training.window import Window


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Surroundings:
    """What the loop works with and reports to."""

    config: RunConfig
    samples: ClearedSamples
    tokens: Tokens
    watch: Watch
    workers: Workers
    metrics: Journal
    window: Window
    heartbeat: Heartbeat
    save: Callable[[Training], None]
    stop: Callable[[], bool]
    bar: Bar  # told of each whole second of training


def train(training: Training, around: Surroundings) -> None:
    """Train until only the reserve is left, or `stop` says so.

    Raises:
        PramanaError: the loss is not a number.
    """
    config, watch = around.config, around.watch
    pixels = torch.from_numpy(around.samples.pixels)
    phases = rotary(training.model.transformer, config.image_px)
    parameters = training.parameters()
    while watch.goes_on() and not around.stop():
        counts, lr_share = training.counts, watch.lr_share()
        places = around.samples.places(config.seed, counts.samples, config.batch_size)
        batch = Noised.drawn(
            pixels[places], around.tokens.rows(places), config.objective, training.generator
        )
        loss_of = partial(
            batch.loss, training.model, phases, time_floor=config.objective.time_floor
        )
        loss = around.workers.gradients(loss_of, parameters, rows=config.batch_size)
        norm = optim.step(training.optimiser, config.optimiser, lr_share=lr_share)
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
            (around.samples.digests[place] for place in places),
            loss=loss_now,
            lr_share=lr_share,
            train_s=watch.stepped(),
        )
        around.metrics.append(training.counts.line(loss_now, norm_now, config.optimiser.lr))
        around.window.stepped(loss_now)
        around.heartbeat.beat(training.counts.step)
        around.bar(int(training.counts.train_s) - int(counts.train_s))
        if watch.save_due():
            around.save(training)
            watch.saved()
