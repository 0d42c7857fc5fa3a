"""Launch: which of how many processes this is, as `torchrun` says in the environment.

Does not see: whether the others are there; `processes.py` meets them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance.errors import UsageError
from training.config import RunConfig

if TYPE_CHECKING:
    from training.team.processes import Processes

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """This process's number in all and on its host, and how many there are in all."""

    rank: int
    local: int
    world: int


def launched() -> Launch | None:
    """Return this process's place among those `torchrun` started, None for one of its own.

    Raises:
        UsageError: the environment names some of it, or no numbers.
    """
    said = [os.environ[name] for name in NAMES if name in os.environ]
    if not said:
        return None
    if len(said) < len(NAMES) or not all(word.isdecimal() for word in said):
        raise UsageError(
            f"The environment must name {', '.join(NAMES)} as numbers, or none of them. Start "
            "several processes with torchrun."
        )
    rank, local, world = map(int, said)
    return Launch(rank=rank, local=local, world=world)


@contextmanager
def met(config: RunConfig) -> Iterator["Processes | None"]:
    """Yield the team of processes that `torchrun` started, None where it did not.

    Raises:
        UsageError: the parts of a batch cannot be dealt out evenly among them.
    """
    launch = launched()
    if launch is None:
        yield None
        return
    from training.team.processes import processes  # noqa: PLC0415  heavy

    with processes(config, launch) as team:
        yield team
