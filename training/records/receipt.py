"""Receipts: one rolling hash over every image the weights have seen, in the order they saw it.

r = SHA-256(r || sha256 of the image), from 32 zero bytes. Who holds the cleared list and the run
config can recompute it, because the order is a function of the seed.

Does not see: whether the weights were really made by these steps; that takes running them again.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Self

from governance.canon import Json
from governance.errors import Tampered
from governance.records import as_object

START = bytes(32)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What has been seen so far: the rolling hash, and how many samples went into it."""

    value: bytes = START
    samples: int = 0

    def extended(self, digests: Iterable[bytes]) -> Self:
        """Return the receipt after these images (32-byte digests) as well."""
        value, samples = self.value, self.samples
        for digest in digests:
            value, samples = hashlib.sha256(value + digest).digest(), samples + 1
        return type(self)(value, samples)


@dataclass(slots=True, eq=False)
class Read:
    """What this process read since the last checkpoint, and what all were due to read, by step."""

    digests: list[tuple[bytes, ...]] = field(default_factory=list)
    due: list[tuple[bytes, ...]] = field(default_factory=list)


def in_order(
    read: Sequence[Sequence[tuple[bytes, ...]]], due: Sequence[tuple[bytes, ...]]
) -> Iterator[bytes]:
    """Yield what all processes read, step by step, as the pictures stand in each batch.

    Args:
        read: of each process in turn, the digests of its pictures by step.
        due: by step, the digests that the whole batch has in the run's order.

    Raises:
        Tampered: a process read another picture than the order says.
    """
    for expected, parts in zip(due, zip(*read, strict=True), strict=True):
        found = tuple(chain.from_iterable(parts))
        if found != expected:
            raise Tampered(
                "A process read other pictures than the order of this run says. Restore the "
                "samples, and start again from the last checkpoint."
            )
        yield from found


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptLine:
    """One line of `receipts.jsonl`: a checkpoint, and what happened since the line before.

    Samples are numbered from 1 in the order they were seen. The receipt covers all of them; the
    loss, the seconds of training and the joules are of this stretch. `joules` were counted or
    estimated as `joules_method` and `joules_source` say. `cost_so_far` is of the whole run since
    it began, at the rate its operator declared; None where none is declared, and so not known.
    `processes` is how many worked on this stretch.
    """

    step: int
    first_sample: int
    last_sample: int
    receipt: str
    checkpoint: str
    loss_mean: float
    loss_std: float
    loss_min: float
    loss_max: float
    seconds: float
    joules: float
    joules_low: float
    joules_high: float
    joules_method: str
    joules_source: str
    cost_so_far: float | None
    currency: str
    processes: int

    def to_json(self) -> dict[str, Json]:
        """Return the line as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read a line back. Raises Tampered when a field is missing or unknown."""
        try:
            return cls(**as_object(value, "a receipt"))
        except TypeError as fault:
            raise Tampered(f"This line of receipts.jsonl is not one we wrote: {fault}.") from None
