"""An attack, and whether it was stopped.

An attack has two halves. What the attacker does may go to any length; what the victim does next is
an ordinary act of this program, and only that may stop it: by refusing with the right words, or by
showing that no harm was done. Anything else, a traceback included, counts as not stopped.

Does not see: attacks that nobody wrote down here.
"""

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final, Literal, NoReturn, TypeAlias

from app.redteam.scratch import Ground, Scratch
from governance.canon import Json
from governance.errors import PramanaError

LONGEST_S: Final = 60.0  # an attack that makes its victim wait for ever has succeeded
Ended: TypeAlias = Literal["stopped", "not stopped", "documented limit"]


@dataclass(frozen=True, slots=True)
class Unharmed:
    """What a victim returns who looked, and saw that no harm was done; `why` says what was seen."""

    why: str


Victim: TypeAlias = Callable[[], object]  # raises, or returns Unharmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack.

    `threat` is the line of the threat list it belongs to, `holds` the property that must hold.
    `act` does what the attacker does, on ground made as `ground` says, and returns what the victim
    does. It is stopped by an `error` whose message has the words `check`, or, where `error` is
    None, by a victim who was unharmed.
    """

    name: str
    threat: str
    holds: str
    act: Callable[[Scratch], Victim]
    error: type[PramanaError] | None = None
    check: str = ""
    ground: Ground = "audited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """An attack that this program cannot stop, and why; it is told and never run."""

    name: str
    threat: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attack ended: by which check or fact, and with which exit status of the command."""

    name: str
    threat: str
    holds: str
    ended: Ended
    by: str
    status: int | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the outcome as JSON."""
        return {
            "attack": self.name,
            "threat": self.threat,
            "property": self.holds,
            "outcome": self.ended,
            "by": self.by,
            "status": self.status,
        }


def tried(attack: Attack, scratch: Scratch) -> Outcome:
    """Try an attack on ground of its own, and return how it ended."""
    try:
        with _within(LONGEST_S):
            victim = attack.act(scratch)
    except Exception as fault:  # noqa: BLE001  whatever it is, nothing was shown
        return _not_stopped(attack, f"The attack could not be made: {_said(fault)}")
    try:
        with _within(LONGEST_S):
            seen = victim()
    except PramanaError as fault:
        return _answered(attack, fault)
    except Exception as fault:  # noqa: BLE001  a traceback is no answer
        return _not_stopped(attack, _said(fault))
    if attack.error is None and isinstance(seen, Unharmed):
        return _outcome(attack, "stopped", seen.why, status=0)
    return _not_stopped(attack, "The victim noticed nothing.")


def limited(limit: Limit) -> Outcome:
    """Return the line of an attack that is not run."""
    return Outcome(
        name=limit.name, threat=limit.threat, holds="", ended="documented limit", by=limit.why
    )


def _answered(attack: Attack, fault: PramanaError) -> Outcome:
    """Say whether a refusal is the one that was due."""
    due = attack.error is not None and type(fault) is attack.error and attack.check in str(fault)
    if not due:
        return _not_stopped(attack, f"Another check answered: {_said(fault)}", fault.status)
    return _outcome(attack, "stopped", attack.check, status=fault.status)


def _not_stopped(attack: Attack, by: str, status: int | None = None) -> Outcome:
    return _outcome(attack, "not stopped", by, status=status)


def _outcome(attack: Attack, ended: Ended, by: str, *, status: int | None) -> Outcome:
    return Outcome(
        name=attack.name,
        threat=attack.threat,
        holds=attack.holds,
        ended=ended,
        by=by,
        status=status,
    )


def _said(fault: Exception) -> str:
    """Return what an error says, and where a fault of ours arose."""
    if isinstance(fault, PramanaError):
        return f"{type(fault).__name__}: {fault}"
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__}: {fault} (line {last.lineno} of {last.name})"


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after so long, where signals can be heard."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(_number: int, _frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"nothing came back for {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
