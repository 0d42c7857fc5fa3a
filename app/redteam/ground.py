"""Grounds: scratch workspaces in the states that attacks begin from, each made once, then copied.

Everything is real: pictures are drawn, audited, cleared and trained on. Nothing touches the user's
workspace, keys, ledger or memory: while attacks run, the variables that name those places name
places inside the scratch folder.

Does not see: what an attack does to its copy. No copy is used twice.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from app.redteam.scratch import (
    DISPUTED,
    ENGINEER,
    LAWYERS,
    OWNER,
    PEOPLE,
    RUN,
    Ground,
    Scratch,
)
from governance.trail.memory import Memory
from governance.workspace import LEDGER_VARIABLE, Workspace

SAMPLES, SEED = 48, 20261123
STATE_VARIABLES: Final = ("PRAMANA_STATE", "PRAMANA_WEIGHTS", LEDGER_VARIABLE)
DECLARED: Final = f"""\
operator = "a scratch workspace"
country = "IN"
storage_region = "IN"
compute_region = "IN"
data_owner = "{OWNER}"
"""
# What a hostile dataset says; none of it is a reason to leave a sample out.
HOSTILE: Final = (
    "=cmd|'/c calc'!A0",
    "<img src=x onerror=alert(1)> a red circle",
    "![a circle](http://198.51.100.7/px.png)",
    "a red circle \x1b[2J\x1b]0;owned\x07",
    "a red \u202ecircle\u202c",
)
# CC-BY-SA is disputed: a person decides. CC-BY-NC is forbidden.
EXCLUDED: Final = ("CC-BY-SA-4.0", "CC-BY-SA-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-4.0")


class CutOff(BaseException):
    """Ends a run as a kill would: nothing in the trainer catches it."""


class Grounds:
    """The grounds that attacks stand on, each made when it is first asked for."""

    def __init__(self, root: Path) -> None:
        """Keep everything below a folder, which is there already."""
        self._root = root
        self._made: dict[Ground, Scratch] = {}
        self._count = 0

    def copy(self, ground: Ground) -> Scratch:
        """Return a fresh copy, with what its owner remembers of the workspace."""
        self._count += 1
        return _copied(self._of(ground), self._root / f"{self._count:03d}")

    def _of(self, ground: Ground) -> Scratch:
        if ground not in self._made:
            place = self._root / ground.replace(" ", "-")
            if ground in CHANGES:
                below, change = CHANGES[ground]
                self._made[ground] = _copied(self._of(below), place)
                change(self._made[ground])
            else:
                self._made[ground] = _begun(place, sealed=ground == "sealed")
        return self._made[ground]


@contextmanager
def elsewhere(root: Path) -> Iterator[None]:
    """Keep memory and ledger inside a folder for as long as the block lasts."""
    before = {name: os.environ.get(name) for name in STATE_VARIABLES}
    os.environ["PRAMANA_STATE"] = str(root / "state")
    os.environ["PRAMANA_WEIGHTS"] = str(root / "weights")
    os.environ.pop(LEDGER_VARIABLE, None)  # a team's database, perhaps
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begun(folder: Path, *, sealed: bool) -> Scratch:
    from app import planted  # noqa: PLC0415  heavy

    rows = list(planted.scenes(SAMPLES, seed=SEED))
    for place, text in enumerate(HOSTILE):
        rows[place] = replace(rows[place], text=text, author=text)
    for place, licence in enumerate(EXCLUDED, start=len(HOSTILE)):
        name = f"=1+{place}\x1b[31m{rows[place].file_name}"  # shown to whoever reviews exclusions
        rows[place] = replace(rows[place], license=licence, file_name=name)
    planted.write(folder / "scenes", rows)
    made = Scratch(folder)
    made.workspace.folder.mkdir()
    (made.workspace.folder / "pramana.toml").write_text(DECLARED)
    Workspace.at(made.workspace.folder)
    made.audit(sealed=sealed)
    made.workspace.memory.remember(made.workspace.ledger, made.trust)
    (folder / "pinned.json").write_bytes(made.trust.to_bytes())
    return made


def _copied(made: Scratch, folder: Path) -> Scratch:
    shutil.copytree(made.folder, folder)
    copied = Scratch(folder)
    theirs, ours = Memory.of(made.workspace.folder), Memory.of(copied.workspace.folder)
    shutil.copytree(theirs.folder, ours.folder)
    return copied


def _cut_off(made: Scratch) -> None:
    """Train until after the first checkpoint, and stop there as a kill would."""
    ledger = made.workspace.ledger

    def killed(_step: int) -> None:
        if ledger.entries("run.checkpoint"):
            raise CutOff

    try:
        made.train(run=RUN, at_step=killed)
    except CutOff:
        return


def _finished(made: Scratch) -> None:
    made.train(run=RUN)
    made.export(made.bundle)


def _peopled(made: Scratch) -> None:
    for role, person in PEOPLE:
        made.keyring.enrol(role, person)
    made.workspace.memory.remember(made.workspace.ledger, made.trust)


def _waived(made: Scratch) -> None:
    """Have a waiver asked for, approved, and weighed."""
    from app.waivers import request, say  # noqa: PLC0415  heavy

    asked = request(
        made.workspace, DISPUTED, signer=made.person("engineer", ENGINEER), days=30,
        reason="a scratch request", measure="nothing",
    )  # fmt: skip
    lawyer = made.person("legal", LAWYERS[0])
    say(made.workspace, asked.id, "approve", signer=lawyer, show=lambda _text: None)
    made.audit()
    made.workspace.memory.remember(made.workspace.ledger, made.trust)


# What a ground is made from, and how; the others begin with pictures.
CHANGES: Final[Mapping[Ground, tuple[Ground, Callable[[Scratch], None]]]] = {
    "cut off": ("audited", _cut_off),
    "finished": ("audited", _finished),
    "waivable": ("audited", _peopled),
    "waived": ("waivable", _waived),
}
