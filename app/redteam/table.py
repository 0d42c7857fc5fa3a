"""All attacks, and a run of them: a list is the registry.

Does not see: why an attack was not stopped. The line that says so names what answered instead.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.redteam import (
    files,
    gate,
    inputs,
    keys,
    people,
    release,
    run,
    sealed,
    set_aside,
    shown,
    teachers,
    trail,
)
from app.redteam.attack import Attack, Outcome, limited, tried
from app.redteam.ground import Grounds, elsewhere
from app.redteam.limits import LIMITS
from governance.errors import UsageError
from training.records.record import Bars

ATTACKS: Final[tuple[Attack, ...]] = (
    *files.ATTACKS, *gate.ATTACKS, *keys.ATTACKS, *trail.ATTACKS, *people.ATTACKS,
    *set_aside.ATTACKS, *inputs.ATTACKS, *shown.ATTACKS, *run.ATTACKS, *sealed.ATTACKS,
    *release.ATTACKS, *teachers.ATTACKS,
)  # fmt: skip


def chosen(word: str) -> tuple[Attack, ...]:
    """Return the attacks whose name or threat has a word in it; '' means all of them.

    Raises:
        UsageError: none has.
    """
    wanted = word.casefold()
    found = tuple(a for a in ATTACKS if wanted in f"{a.threat} {a.name}".casefold())
    if not found:
        threats = ", ".join(dict.fromkeys(attack.threat for attack in ATTACKS))
        raise UsageError(f"No attack is called {word[:40]!r}. The threats are: {threats}.")
    return found


def outcomes(folder: Path, attacks: tuple[Attack, ...], bars: Bars) -> Iterator[Outcome]:
    """Try attacks, each on ground of its own below a folder, and yield how each ended.

    The user's own workspace, ledger, keys and memory are out of reach meanwhile.
    """
    with elsewhere(folder):
        grounds, done = Grounds(folder), bars("attacking", len(attacks))
        for attack in attacks:
            yield tried(attack, grounds.copy(attack.ground))
            done(1)


def limits(word: str) -> Iterator[Outcome]:
    """Yield the lines of what cannot be stopped, whose name or threat has a word in it."""
    wanted = word.casefold()
    yield from (limited(x) for x in LIMITS if wanted in f"{x.threat} {x.name}".casefold())
