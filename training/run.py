"""One run, from reading its samples to its result: every checkpoint told to the ledger.

Does not see: permission. `start.py` admitted the clearance that is handed in.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from governance.canon import Json, canonical, sha256, write_whole
from governance.clearance import Clearance
from governance.errors import PramanaError
from governance.records import FINISHED
from governance.snapshot import Snapshot
from governance.trail.ledger import Ledger
from training import checkpoint
from training.batches import Batches
from training.budget import Deadline, Pace, Reserve, Schedule, Watch
from training.compiling import Trial, through_blocks
from training.compute import accelerators
from training.config import RunConfig
from training.data.cleared import ClearedList
from training.data.opening import Source
from training.data.pack import Packs
from training.data.samples import ClearedSamples
from training.finish import Finishing
from training.loop import Surroundings, train
from training.model import Model
from training.output.blocklist import Blocklist
from training.planning.flops import train_flops
from training.planning.forecast import read_forecast
from training.records.heartbeat import Heartbeat
from training.records.meters import Meter, Rate
from training.records.receipt import ReceiptLine
from training.records.record import RESULT_FILE, Bars, Result, RunRecord, State, quiet
from training.records.telling import Telling
from training.records.window import Window
from training.saves import Saves
from training.state import Counts, Training
from training.taught.teachers import Teachers
from training.team.launch import launched
from training.team.parallel import Team
from training.text.latents import prepared
from training.text.tokens import Tokens, make_tokenizer


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
    team: Team
    rate: Rate | None = None
    blocklist: Blocklist | None = None

    def complete(self, listed: ClearedList, snapshot: Snapshot) -> Result:
        """Read, train to the deadline, finish. Raises what `training.start.start` says."""
        team, config = self.team, self.config
        team.first(self._check_time)
        came_at = self.deadline.clock()
        heartbeat = None if team.rank else Heartbeat(folder=self.folder, deadline=self.deadline)
        bars = heartbeat.watched(self.bars) if heartbeat else quiet
        trained, heldout = self._opened(listed, snapshot, bars)
        training = self._resumed() or self._fresh(trained)
        tokens = team.in_turn(partial(self._tokens, training, trained, bars))
        finishing = Finishing(
            config=config,
            folder=self.folder,
            trained=trained,
            heldout=heldout,
            deadline=self.deadline,
            bars=bars,
            blocklist=self.blocklist,
        )
        watch = self._watch(finishing, training, came_at=came_at)
        with ThreadPoolExecutor(1) as writer:
            saves = self._saves(training, watch, writer)
            around = Surroundings(
                config=config,
                batches=Batches(config=config, samples=trained, rank=team.rank, world=team.world),
                tokens=tokens,
                watch=watch,
                team=team,
                saves=saves,
                stop=self.stop,
                told=partial(self._stepped, heartbeat, watch, self._trial(training)),
                bar=bars("training", int(watch.pace.window_s(watch.reserve.seconds()))),
            )
            train(training, around)
            if saves.window.losses:
                saves.begin(training)
            saves.finish()
        stopped = any(team.gathered(self.stop()))
        team.first(partial(self._check_trained, training, stopped=stopped))
        training.settle()
        model = training.assembled(config, team)
        result = team.first(partial(self._finished, finishing, training, tokens, model))
        if heartbeat:
            heartbeat.enter("ended")
        return result

    @property
    def _telling(self) -> Telling:
        return Telling(
            folder=self.folder,
            record=self.record,
            envelope=self.envelope,
            ledger=self.ledger,
            deadline=self.deadline,
            config=self.config,
            rate=self.rate,
        )

    def _trial(self, training: Training) -> Trial | None:
        """Return what finds out whether compiling pays, where that is asked for."""
        if self.config.compile == "never":
            return None
        return Trial(
            use=through_blocks(training.model.transformer),
            agreed=lambda said: self.team.first(lambda: said),
            train_s=training.counts.train_s,
            told=(lambda _: None) if self.team.rank else self._telling.decided,
        )

    def _stepped(
        self,
        heartbeat: Heartbeat | None,
        watch: Watch,
        trial: Trial | None,
        counts: Counts,
        loss: float,
        norm: float,
    ) -> None:
        """Write a step down, in the first process, which is the one with a heartbeat."""
        if heartbeat:
            stage = self.config.stage_at(watch.elapsed_share)
            self._telling.step(counts, loss, norm, stage=stage)
            heartbeat.beat(counts.step)
        if trial:
            trial.stepped(counts.train_s, steps_left=watch.steps_left())

    def _opened(
        self, listed: ClearedList, snapshot: Snapshot, bars: Bars
    ) -> tuple[ClearedSamples, ClearedSamples]:
        """Return what is trained on and what is kept out; the first process makes a pack."""
        source = Source(
            clearance=self.clearance,
            listed=listed,
            snapshot=snapshot,
            packs=Packs(folder=self.folder.parent.with_name("packs"), ledger=self.ledger),
            bars=bars,
        )
        keep = self.team.first(partial(source.keep, self.config, processes=self.team.world))
        read = partial(source.open, self.config, keep)
        opened = read() if keep == "memory" else self.team.in_turn(read)
        if not self.team.rank:
            opened.tell(self.folder)
        return opened.trained, opened.heldout

    def _saves(self, training: Training, watch: Watch, writer: ThreadPoolExecutor) -> Saves:
        launch = launched()
        meter = Meter.open(
            watts_per_core=self.config.watts_per_core,
            accelerators=accelerators(self.config),
            packages=not (launch and launch.local),
        )
        return Saves(
            folder=self.folder,
            team=self.team,
            window=Window(meter=meter, began=training.counts),
            cost=self._telling.cost,
            tell=partial(self._telling.checkpoint, watch),
            writer=writer,
        )

    def _fresh(self, trained: ClearedSamples) -> Training:
        own = not self.config.text.encoder.name
        made = partial(make_tokenizer, trained.captions, self.config.text.vocabulary)
        tokenizer = self.team.first(made) if own else ""
        return Training.fresh(self.config, tokenizer, self.team)

    def _resumed(self) -> Training | None:
        """Return the training of the latest checkpoint, or None where there is none yet.

        Raises:
            Tampered: a receipt or the checkpoint is not what the ledger was told.
        """
        found = self.team.first(self._telling.rewound)
        if found is None:
            return None
        step, recorded = found
        return checkpoint.load(
            self.folder, step, recorded=recorded, config=self.config, team=self.team
        )

    def _tokens(self, training: Training, trained: ClearedSamples, bars: Bars) -> Tokens:
        """Return the captions, with what a frozen encoder says of them where that is kept."""
        model, config = training.model, self.config
        tokens = Tokens.of(trained.captions, model.tokenizer, config.text.max_tokens)
        return prepared(config, model, tokens, folder=self.folder, bars=bars)

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
        reserve, measured = self.team.first(self._kept_reserve)
        if measured:
            return reserve
        began = self.deadline.clock()
        model = training.assembled(self.config, self.team)
        assembled_s = self.deadline.clock() - began if self.team.world > 1 else 0.0
        finish_s, score_s = self.team.first(lambda: finishing.rehearse(_there(model)))
        return replace(reserve, finish_s=assembled_s + finish_s, score_s=score_s)

    def _kept_reserve(self) -> tuple[Reserve, bool]:
        """Return the reserve as it was kept, or a guess, and whether that has to do."""
        if self.record.reserve:
            return self.record.reserve, True
        guess = Reserve(
            save_s=self.config.schedule.save_guess_s, finish_s=self.config.schedule.finish_guess_s
        )
        return guess, self.deadline.time_left() < 2 * guess.seconds()

    def _pace(self, training: Training, reserve: Reserve, setup_s: float) -> Pace:
        """Return the pace; the window opens once, at the first start."""
        now, schedule = self.deadline.clock(), self.config.schedule
        record = self.record
        if not record.training_began_at:
            record = replace(record, training_began_at=now, setup_s=setup_s, reserve=reserve)
            if not self.team.rank:
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
            self._telling.expire(
                f"its deadline passed while it was down, or is less than {needed_s:.0f} s"
            )

    def _check_trained(self, training: Training, *, stopped: bool) -> None:
        if stopped:
            raise PramanaError(
                f"Run {self.record.run} was asked to stop at step {training.counts.step} and was "
                "saved. Start it again to go on; its deadline stays."
            )
        if not training.counts.step:
            self._telling.expire("reading and finishing left no time for a single step")

    def _finished(
        self, finishing: Finishing, training: Training, tokens: Tokens, model: Model | None
    ) -> Result:
        """Export, draw, score and close: the first process's part, which has the model."""
        return self._close(training, tokens, finishing.complete(_there(model)))

    def _flops(self, words: int, teachers: Teachers) -> float:
        """Return the operations of training: of each sample, those of the stage that saw it."""
        stages, seen = self.config.stages, 0
        samples = [0] * len(stages)
        for line in self._telling.metrics.read():
            now = int(str(line["samples"]))
            samples[int(str(line["stage"]))] += now - seen
            seen = now
        return sum(
            count
            * (
                train_flops(self.config, words, image_px=stage.image_px)
                + teachers.flops_of(aligned=stage.repa)
            )
            for count, stage in zip(samples, stages, strict=True)
        )

    def _close(self, training: Training, tokens: Tokens, pipeline: Mapping[str, str]) -> Result:
        counts, left_s = training.counts, self.deadline.time_left()
        state: State = "finished" if left_s >= 0 else "late"
        words, model = int(tokens.mask.sum(dim=1).max()), training.model
        lines = [ReceiptLine.from_json(line) for line in self._telling.receipts.read()]
        cost, currency = self._telling.cost()
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
            parameters=model.parameter_count(),
            flops=self._flops(words, model.teachers),
            joules=sum(line.joules for line in lines),
            joules_low=sum(line.joules_low for line in lines),
            joules_high=sum(line.joules_high for line in lines),
            joules_method="; ".join(dict.fromkeys(line.joules_method for line in lines)),
            cost=cost,
            currency=currency,
            captions_truncated=tokens.truncated,
            pipeline=pipeline,
        )
        if early := read_forecast((RunRecord.read(self.folder) or self.record).forecast):
            off = early.off(samples=counts.samples, joules=result.joules, cost=cost)
            result = replace(result, forecast=off)
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


def _there(model: Model | None) -> Model:
    if model is None:
        raise PramanaError("Only the first process of a run finishes it; this is another one.")
    return model
