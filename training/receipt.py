"""Receipts: one rolling hash over every image the weights have seen, in the order they saw it.

r = SHA-256(r || sha256 of the image), from 32 zero bytes. Who holds the cleared list and the run
config can recompute it, because the order is a function of the seed.

Does not see: whether the weights were really made by these steps; that takes running them again.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptLine:
    """One line of `receipts.jsonl`: what a checkpoint has seen. `joules` is an estimate."""

    step: int
    samples: int
    receipt: str
    checkpoint: str
    loss: float
    seconds: float
    joules_estimated: float

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
