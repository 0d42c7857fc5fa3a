"""One run, from reading its samples to its result: every checkpoint told to the ledger.

Does not see: permission. `start.py` admitted the clearance that is handed in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

from governance.canon import Json, canonical, sha256, write_whole
from governance.clearance import Clearance, check_standing
from governance.errors import PramanaError, Refused, Tampered
from governance.records import FINISHED
from governance.snapshot import Snapshot
from governance.trail.ledger import Ledger
from training import checkpoint
from training.batches import Batches
from training.budget import Deadline, Pace, Reserve, Schedule, Watch
from training.config import RunConfig
from training.data import ClearedList, ClearedSamples
from training.finish import Finishing
from training.flops import train_flops
from training.heartbeat import Heartbeat
from training.journal import Journal
from training.loop import Surroundings, train
from training.meters import Meter, Rate
from training.parallel import alone
from training.receipt import ReceiptLine
from training.record import RESULT_FILE, Bars, Result, RunRecord, State
from training.state import Training
from training.text import Tokens, make_tokenizer
from training.window import Window


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Run:
    """A run whose clearance is spent. `stop` is asked at each step."""

    folder: Path
    record: RunRecord
    clearance: Clearance
    envelope: bytes
    config: RunConfig
    ledger: Ledger
    deadline: Deadline
    bars: Bars
    stop: Callable[[], bool]
    rate: Rate | None = None

    def complete(self, listed: ClearedList, snapshot: Snapshot) -> Result:
        """Read, train to the deadline, finish. Raises what `training.start.start` says."""
        self._check_time()
        came_at = self.deadline.clock()
        heartbeat = Heartbeat(folder=self.folder, deadline=self.deadline)
        bars = heartbeat.watched(self.bars)
        samples = ClearedSamples.open(
            self.clearance,
            listed=listed,
            snapshot=snapshot,
            image_px=self.config.image_px,
            bars=bars,
        )
        trained, heldout = samples.split(self.config.evaluation.heldout_share)
        training = self._resumed() or self._fresh(trained)
        tokens = Tokens.of(trained.captions, training.model.tokenizer, self.config.text.max_tokens)
        finishing = Finishing(
            config=self.config,
            folder=self.folder,
            trained=trained,
            heldout=heldout,
            deadline=self.deadline,
            bars=bars,
        )
        with alone(self.config.parts) as team:
            watch = self._watch(finishing, training, came_at=came_at)
            meter = Meter.open(watts_per_core=self.config.watts_per_core)
            window = Window(meter=meter, began=training.counts)
            around = Surroundings(
                config=self.config,
                batches=Batches(config=self.config, samples=trained),
                tokens=tokens,
                watch=watch,
                team=team,
                metrics=self._metrics,
                window=window,
                heartbeat=heartbeat,
                save=partial(self._save, watch=watch, window=window),
                stop=self.stop,
                bar=bars("training", int(watch.pace.window_s(watch.reserve.seconds()))),
            )
            train(training, around)
            if window.losses:
                self._save(training, watch, window)
            self._check_trained(training)
            training.settle()
            pipeline = finishing.complete(training.model)
        result = self._close(training, tokens, pipeline)
        heartbeat.enter("ended")
        return result

    @property
    def _metrics(self) -> Journal:
        return Journal(self.folder / "metrics.jsonl")

    @property
    def _receipts(self) -> Journal:
        return Journal(self.folder / "receipts.jsonl")

    def _fresh(self, trained: ClearedSamples) -> Training:
        tokenizer = make_tokenizer(trained.captions, self.config.text.vocabulary)
        return Training.fresh(self.config, tokenizer)

    def _resumed(self) -> Training | None:
        """Return the training of the latest checkpoint, or None where there is none yet.

        Raises:
            Tampered: a receipt or the checkpoint is not what the ledger was told.
        """
        step = checkpoint.latest_step(self.folder)
        self._metrics.rewind(step or 0)
        lines = [ReceiptLine.from_json(line) for line in self._receipts.rewind(step or 0)]
        if step is None:
            return None
        told = [e.body for e in self.ledger.entries("run.checkpoint")]
        if lines and all(self._told(line) in told for line in lines):
            self.ledger.append("run.resumed", {"run": self.record.run, "step": step})
            return checkpoint.load(
                self.folder, step, recorded=lines[-1].checkpoint, config=self.config
            )
        raise Tampered(
            f"The receipts of run {self.record.run} up to step {step} are not those that the "
            "ledger was told; restore receipts.jsonl, or start a new run."
        )

    def _told(self, line: ReceiptLine) -> dict[str, Json]:
        """Return what the ledger is told of a checkpoint."""
        return {
            "run": self.record.run,
            "step": line.step,
            "receipt": line.receipt,
            "checkpoint": line.checkpoint,
        }

    def _save(self, training: Training, watch: Watch, window: Window) -> None:
        """Write a checkpoint, its receipt and its entry; then make it the one to resume from."""
        counts = training.counts
        digest = checkpoint.save(self.folder, training)
        cost, currency = self._cost()
        line = window.close(counts, checkpoint=digest, cost=cost, currency=currency)
        self._receipts.append(line.to_json(), durable=True)
        self.ledger.append("run.checkpoint", self._told(line))
        checkpoint.point(self.folder, counts.step)
        expected = counts.step + int(watch.steps_left())
        record = RunRecord.read(self.folder) or self.record
        replace(record, reserve=watch.reserve, steps_expected=expected).write(self.folder)
        try:
            now = datetime.fromtimestamp(self.deadline.clock(), UTC)
            check_standing(self.envelope, self.ledger, now)
        except Refused as fault:
            self._halt(fault)

    def _cost(self) -> tuple[float | None, str]:
        """Return the cost since the run began, downtime as well, and its currency."""
        if self.rate is None:
            return None, ""
        gone_s = self.record.budget_s - self.deadline.time_left()
        return self.rate.cost(gone_s), self.rate.currency

    def _watch(self, finishing: Finishing, training: Training, *, came_at: float) -> Watch:
        setup_s = self.deadline.clock() - came_at
        reserve = self._reserve(finishing, training)
        return Watch(
            pace=self._pace(training, reserve, setup_s),
            reserve=reserve,
            checkpoint_s=self.config.schedule.checkpoint_s,
        )

    def _reserve(self, finishing: Finishing, training: Training) -> Reserve:
        """Return the reserve as it was kept, or as a rehearsal measures it if there is time."""
        if self.record.reserve:
            return self.record.reserve
        guess = Reserve(
            save_s=self.config.schedule.save_guess_s, finish_s=self.config.schedule.finish_guess_s
        )
        if self.deadline.time_left() < 2 * guess.seconds():
            return guess
        finish_s, score_s = finishing.rehearse(training.model)
        return replace(guess, finish_s=finish_s, score_s=score_s)

    def _pace(self, training: Training, reserve: Reserve, setup_s: float) -> Pace:
        """Return the pace; the window opens once, at the first start."""
        now, schedule = self.deadline.clock(), self.config.schedule
        record = self.record
        if not record.training_began_at:
            record = replace(record, training_began_at=now, setup_s=setup_s, reserve=reserve)
            record.write(self.folder)
        pace = Pace(
            deadline=self.deadline,
            began_at=record.training_began_at,
            schedule=Schedule(
                warmup_share=schedule.warmup_share, decay_from=1.0 - schedule.decay_share
            ),
        )
        return pace.resumed(reserve.seconds(), training.counts.lr_share)

    def _check_time(self) -> None:
        kept, save_s = self.record.reserve, self.config.schedule.save_guess_s
        needed_s = self.record.setup_s + (kept.least_s() if kept else save_s)
        if self.deadline.time_left() <= needed_s:
            self._expire(f"its deadline passed while it was down, or is less than {needed_s:.0f} s")

    def _check_trained(self, training: Training) -> None:
        if self.stop():
            raise PramanaError(
                f"Run {self.record.run} was asked to stop at step {training.counts.step} and was "
                "saved. Start it again to go on; its deadline stays."
            )
        if not training.counts.step:
            self._expire("reading and finishing left no time for a single step")

    def _expire(self, why: str) -> NoReturn:
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

    def _close(self, training: Training, tokens: Tokens, pipeline: Mapping[str, str]) -> Result:
        counts, left_s = training.counts, self.deadline.time_left()
        state: State = "finished" if left_s >= 0 else "late"
        words = int(tokens.mask.sum(dim=1).max())
        lines = [ReceiptLine.from_json(line) for line in self._receipts.read()]
        cost, currency = self._cost()
        result = Result(
            run=self.record.run,
            preset=self.config.preset,
            clearance=self.clearance.id,
            state=state,
            steps=counts.step,
            samples_seen=counts.samples,
            receipt=counts.receipt,
            checkpoint=lines[-1].checkpoint,
            seconds=self.record.budget_s - left_s,
            margin_s=left_s,
            train_s=counts.train_s,
            parameters=training.model.parameter_count(),
            flops=train_flops(self.config, words) * counts.samples,
            joules=sum(line.joules for line in lines),
            joules_low=sum(line.joules_low for line in lines),
            joules_high=sum(line.joules_high for line in lines),
            joules_method="; ".join(dict.fromkeys(line.joules_method for line in lines)),
            cost=cost,
            currency=currency,
            captions_truncated=tokens.truncated,
            pipeline=pipeline,
        )
        data = canonical(result.to_json())
        write_whole(self.folder / RESULT_FILE, data)
        told: dict[str, Json] = {
            "run": result.run,
            "state": state,
            "step": counts.step,
            "receipt": counts.receipt,
        }
        self.ledger.append(FINISHED, {**told, "result": sha256(data)})
        replace(RunRecord.read(self.folder) or self.record, state=state).write(self.folder)
        return result
