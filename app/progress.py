"""Progress: a bar on a terminal, plain lines anywhere else; always on stderr.

Does not see: how long is left in a log file; it prints when a stage begins and when it ends.
"""

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from training.records.record import Bar, Bars


@contextlib.contextmanager
def shown() -> Iterator[Bars]:
    """Yield what draws progress for the length of a command."""
    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<14}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as progress:
            yield lambda what, total: _drawn(progress, what, total)
            _end_uncounted(progress)
    else:
        yield _told


def _drawn(progress: Progress, what: str, total: int | None) -> Bar:
    _end_uncounted(progress)
    task = progress.add_task(what, total=total)

    def advance(count: int) -> None:
        progress.advance(task, count)

    return advance


def _end_uncounted(progress: Progress) -> None:
    """Fill the bars whose end nobody knew: the next stage begins when they are done."""
    for task in progress.tasks:
        if task.total is None:
            progress.update(task.id, total=max(task.completed, 1), completed=max(task.completed, 1))


def _told(what: str, total: int | None) -> Bar:
    began, done = time.monotonic(), 0
    of = "" if total is None else f" of {total}"
    print(f"{what}{of} ...", file=sys.stderr, flush=True)  # noqa: T201  this is what it is for

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if total and done * 4 // total > before * 4 // total:
            seconds = time.monotonic() - began
            print(f"{what}: {done}{of}, {seconds:.0f} s", file=sys.stderr, flush=True)  # noqa: T201

    return advance
