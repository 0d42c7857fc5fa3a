"""The door to training: admit, spend or resume, train, finish, close.

Nothing is trained before a clearance was admitted and spent, and everything ends at the deadline,
which is the first start plus the budget. A run that was killed is started again with the same
arguments and goes on from its last checkpoint towards the same deadline.

Does not see: who calls it. It trusts a signature and the ledger, never its caller.
"""

import platform
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from governance.canon import Json, canonical, sha256, write_whole
from governance.clearance import Clearance, Terms, admit, find_logged, revoked_in
from governance.errors import Refused, Tampered, UsageError
from governance.records import RUN_ENDS
from governance.sealing.sealed import DataKeys
from governance.signers.trust import Trust
from governance.snapshot import Snapshot
from governance.statements import payload_of
from governance.trail.ledger import Ledger
from governance.trail.memory import Memory
from training.budget import Clock, Deadline, Reserve, billing_clock
from training.config import RunConfig
from training.data.cleared import ClearedList
from training.data.pack import check_plain
from training.output.blocklist import Blocklist
from training.records.meters import Rate
from training.records.record import RUN_FILE, Bars, Result, RunRecord, quiet

if TYPE_CHECKING:
    from training.team.parallel import Team

CLEARANCE_FILE = "clearance.json"
AHEAD_S = 1.0  # how far a start may lie ahead of the clock: rounding, not a longer budget


def host_class(device: str = "cpu", *, world: int = 1) -> str:
    """Return what kind of host this trainer uses, as a clearance names it.

    Accelerators count, one a process: `cuda NVIDIA H200 x8`. Processes on a CPU do not.
    """
    if device == "cpu":
        return f"cpu {platform.machine()}"
    from training.team.parallel import device_name  # noqa: PLC0415  heavy

    return f"{device} {device_name()} x{world}"


def terms_of(config: RunConfig, budget_s: float, *, world: int = 1) -> Terms:
    """Return what a clearance of such a run here, on so many processes, has to allow.

    Raises:
        UsageError: the device, or the precision, that the config asks for is not here.
    """
    host = host_class(config.device, world=world)
    if config.precision == "bf16":
        from training.compute import check_bf16  # noqa: PLC0415  heavy

        check_bf16(config.device)
    taught_by = {weights.sha256 for weights in config.weights().values()}
    return Terms(
        run_config=config.digest,
        budget_s=budget_s,
        host=host,
        weights=tuple(sorted(taught_by)),
    )


def _no_keys(_: Clearance) -> None:
    """Ask nobody: samples that are not encrypted need no keys."""


def start(  # noqa: PLR0913  the door names everything it holds against the clearance
    *,
    folder: Path,
    envelope: bytes,
    trust: Trust,
    cleared: Path,
    snapshot: Snapshot,
    config: RunConfig,
    ledger: Ledger,
    memory: Memory,
    started_at: float,
    budget_s: float,
    unlock: Callable[[Clearance], DataKeys | None] = _no_keys,
    clock: Clock | None = None,
    bars: Bars = quiet,
    rate: Rate | None = None,
    blocklist: Blocklist | None = None,
    team: "Team | None" = None,
) -> Result:
    """Train under a clearance until its deadline; resume when the folder holds a run of it.

    Args:
        folder: of the run; its name is the run's id.
        envelope: the clearance, as signed.
        trust: whose signature counts.
        cleared: `cleared.parquet`, the list of cleared samples.
        snapshot: where their bytes are read from.
        config: the run config that was cleared.
        ledger: what is told of each act, and asked on a resume.
        memory: what was last seen of this ledger; it must go on from there.
        started_at: when the command began, in seconds since the epoch; a resume keeps the first.
        budget_s: seconds until everything must have ended.
        unlock: asks the keeper for the keys of encrypted samples, once the clearance is used.
        clock: seconds since the epoch.
        bars: draws progress.
        rate: what the machine costs an hour, where that is declared.
        blocklist: holds back captions that are not drawn for the grid; None, and none is read.
        team: the processes of the run, each of which calls this alike; None for this one alone.

    Raises:
        Refused: the clearance does not allow this run, or its time is over.
        Tampered: samples, checkpoints or records are not those that were recorded.
        EvidenceMissing: a shard, a picture or a file of a checkpoint is gone.
        UsageError: the budget is too short, or the start lies in the future.
        PramanaError: the run was asked to stop; it was saved and can be resumed.
    """
    clock = clock or billing_clock()
    listed = ClearedList.read(cleared)
    if config.data.keep == "packed":
        check_plain(snapshot)
    with _asked_to_stop() as stop, _team(team, config) as here:
        door = _Door(
            folder=folder,
            envelope=envelope,
            trust=trust,
            root=listed.root,
            terms=terms_of(config, budget_s, world=here.world),
            ledger=ledger,
            memory=memory,
            clock=clock,
            rank=here.rank,
        )
        # the first process spends the clearance; the others admit it too, as those that come back
        clearance, record = here.in_turn(partial(door.begin, config, started_at))
        keys = here.in_turn(partial(unlock, clearance))
        from training.run import Run  # noqa: PLC0415  heavy

        run = Run(
            folder=folder,
            record=record,
            clearance=clearance,
            envelope=envelope,
            config=config,
            ledger=ledger,
            deadline=Deadline(started_at=record.started_at, budget_s=budget_s, clock=clock),
            bars=bars,
            stop=stop,
            team=here,
            rate=rate,
            blocklist=blocklist,
        )
        return run.complete(listed, replace(snapshot, keys=keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Door:
    """What a run is held to before it reads a byte, in the process of this rank."""

    folder: Path
    envelope: bytes
    trust: Trust
    root: str  # of the cleared list
    terms: Terms
    ledger: Ledger
    memory: Memory
    clock: Clock
    rank: int

    def begin(self, config: RunConfig, started_at: float) -> tuple[Clearance, RunRecord]:
        """Admit the clearance, and spend it where that was not done. Raises as `start` says."""
        self.ledger.verify()  # what it says below of use and revocation is read from its rows
        self.memory.check(self.ledger, self.trust)
        before = RunRecord.read(self.folder)
        if before is not None and before.run != self.folder.name:
            raise Tampered(f"{RUN_FILE} in {self.folder.name} is of run {before.run}; restore it.")
        clearance = self._admitted(again=before is not None)
        _check_weights(config)
        if not self.rank:
            self.memory.remember(self.ledger, self.trust)
        record = before or RunRecord(
            run=self.folder.name,
            clearance=clearance.id,
            started_at=started_at,
            budget_s=self.terms.budget_s,
        )
        if record.clearance != clearance.id:
            raise Refused(
                f"Run {record.run} began under another clearance; resume it with that one."
            )
        _check_times(record, config, now=self.clock())
        _begin(self.folder, record, envelope=self.envelope, config=config, ledger=self.ledger)
        return clearance, record

    def _admitted(self, *, again: bool) -> Clearance:
        """Admit the clearance; a run that comes back may have spent it itself."""
        ledger, witnesses = self.ledger, self.trust.witnesses
        used = ledger.spent().items()
        return admit(
            self.envelope,
            trust=self.trust,
            cleared_root=self.root,
            terms=self.terms,
            spent={c for c, run in used if not again or run != self.folder.name},
            revoked=revoked_in(ledger),
            logged=find_logged(ledger, sha256(payload_of(self.envelope)), witnesses=witnesses),
            now=datetime.fromtimestamp(self.clock(), UTC),
        )


def _check_weights(config: RunConfig) -> None:
    """Hash the weights that would teach the model, before a clearance is used up for them.

    Raises:
        EvidenceMissing: their folder is not there.
        Tampered: it holds other bytes than were pinned, and cleared.
        UsageError: nobody said where folders of weights lie.
    """
    named = config.weights()
    if not named:
        return
    from training.taught.weights import model_kind, weights_folder  # noqa: PLC0415  heavy

    for weights in named.values():
        model_kind(weights_folder(weights), weights.sha256)


def _check_times(record: RunRecord, config: RunConfig, *, now: float) -> None:
    guess = Reserve(save_s=config.schedule.save_guess_s, finish_s=config.schedule.finish_guess_s)
    if record.budget_s <= guess.seconds():
        raise UsageError(
            f"A budget of {record.budget_s:g} s leaves no time to train: finishing alone is "
            f"expected to take {guess.seconds():g} s. Allow more."
        )
    if record.started_at > now + AHEAD_S:
        raise UsageError("A run cannot have started in the future; set the clock or the start.")


def _begin(
    folder: Path, record: RunRecord, *, envelope: bytes, config: RunConfig, ledger: Ledger
) -> None:
    """Spend the clearance and tell the ledger; of a run that began, check what it was told.

    Each act is done only where it was not, so a kill between two of them does no harm.

    Raises:
        Refused: the run is over, or another run used the clearance.
        Tampered: the run's record is not what the ledger was told.
    """
    for kind in RUN_ENDS:
        if _told(ledger, kind, record.run):
            raise Refused(f"Run {record.run} is over ({kind}); ask for a new clearance.")
    told = _told(ledger, "run.started", record.run)
    if told:
        if told[0] != record.started():
            raise Tampered(
                f"{RUN_FILE} of run {record.run} is not what the ledger was told when it started: "
                "its start, budget or clearance was changed. Restore it."
            )
        return
    write_whole(folder / CLEARANCE_FILE, envelope)
    write_whole(folder / "config.json", canonical(config.to_json()))
    record.write(folder)
    if ledger.spent().get(record.clearance) != record.run:
        ledger.spend(record.clearance, record.run)
    ledger.append("run.started", record.started())


def _told(ledger: Ledger, kind: str, run: str) -> list[Mapping[str, Json]]:
    return [entry.body for entry in ledger.entries(kind) if entry.body["run"] == run]


@contextmanager
def _team(team: "Team | None", config: RunConfig) -> "Iterator[Team]":
    """Yield the team that is given, or one of this process alone."""
    if team:
        yield team
        return
    from training.team.parallel import alone, device_of  # noqa: PLC0415  heavy

    with alone(config.parts, device_of(config)) as one:
        yield one


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Yield a question that SIGTERM answers with yes, where signals can be heard."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
