"""Journals: JSON lines that survive a killed process, and go back to a step when a run resumes.

A line is written in one call, so a kill leaves at most one torn line, the last; `rewind` drops it.
Does not see: lines that were edited. What must not be edited is also in the ledger.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from governance.canon import Json, canonical, parse_json, write_whole
from governance.errors import UsageError
from governance.records import as_object


@dataclass(frozen=True, slots=True)
class Journal:
    """A file of JSON objects, one a line, each with a `step`."""

    path: Path

    def append(self, record: Mapping[str, Json], *, durable: bool = False) -> None:
        """Add one line; `durable` waits until it is on the disk. Raises OSError."""
        with self.path.open("ab", buffering=0) as stream:
            stream.write(canonical(record) + b"\n")
            if durable:
                os.fsync(stream.fileno())

    def read(self) -> list[dict[str, Json]]:
        """Return the whole lines, without a torn last one. Raises Tampered, UsageError."""
        if not self.path.is_file():
            return []
        *lines, _torn = self.path.read_bytes().split(b"\n")
        return [as_object(parse_json(line), f"a line of {self.path.name}") for line in lines]

    def rewind(self, step: int) -> list[dict[str, Json]]:
        """Keep the lines up to a step, and return them. Raises Tampered, UsageError."""
        kept = [line for line in self.read() if _step(line) <= step]
        write_whole(self.path, b"".join(canonical(line) + b"\n" for line in kept))
        return kept


def _step(line: Mapping[str, Json]) -> int:
    step = line.get("step")
    if not isinstance(step, int):
        raise UsageError("A line of this journal names no step; restore the file.")
    return step
