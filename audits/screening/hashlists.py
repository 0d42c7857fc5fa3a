"""Hash lists that an operator holds: MD5, SHA-1, SHA-256 and PDQ digests through one interface.

None comes with the program. A list is named by its digest, read in the worker that needs it, and
never written anywhere.

Does not see: anything that stands in no list. An exact digest changes with one bit of the file; a
PDQ hash outlasts scaling, re-encoding, turning and mirroring, and not much cropping.
"""

import functools
import hashlib
import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, StringConstraints

from audits.settings import Hex, Name, Written, place_of
from governance.canon import sha256
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.images import Picture

Kind = Literal["md5", "sha1", "sha256", "pdq"]
PdqHashes = npt.NDArray[np.uint8]  # (n, 32)

HEX_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "pdq": 64}
# Source of both: facebook/ThreatExchange, python-threatexchange, signal_type/pdq
DISTANCE, QUALITY = 31, 50  # bits of 256 that may differ; below this a picture is too plain
BANDS = 16  # of 16 bits: hashes at most 31 bits apart agree in one of them up to one bit
ONE_BIT = np.array([0, *(1 << bit for bit in range(16))], dtype=np.uint16)
NO_PDQ = (
    "The hash list {name} has PDQ digests, and pdqhash is not installed: install pramana[pdq], or "
    "take the list out of pramana.toml; then audit again."
)
_HEX = re.compile(r"[0-9a-fA-F]+")


class ListTable(Written):
    """One entry of `hash_lists` in the table [audits.nsfw] of pramana.toml."""

    name: Name
    version: Name
    kind: Kind
    path: Annotated[str, StringConstraints(min_length=1)]
    sha256: Hex
    distance: Annotated[int, Field(ge=0, le=DISTANCE)] = DISTANCE
    quality: Annotated[int, Field(ge=0, le=100)] = QUALITY


@dataclass(frozen=True, slots=True, kw_only=True)
class HashList:
    """A list by name, version and digest; where it lies is nobody else's business."""

    name: str
    version: str
    kind: Kind
    path: Path = field(repr=False, compare=False)
    sha256: str
    distance: int = DISTANCE  # of PDQ alone, as is quality
    quality: int = QUALITY

    @classmethod
    def of(cls, told: ListTable, folder: Path) -> Self:
        """Return the list that a table names, once it could be read.

        Raises:
            EvidenceMissing: its file or the library it needs is not there.
            Tampered: its bytes are not those that were pinned.
            UsageError: a line of it is no digest.
        """
        rest = told.model_dump(exclude={"path"})
        made = cls(path=place_of(told.path, folder, f"hash list {told.name}"), **rest)
        if made.kind == "pdq" and importlib.util.find_spec("pdqhash") is None:
            raise EvidenceMissing(NO_PDQ.format(name=made.name))
        for _ in _digests(made.path, made):
            pass  # a bad list is told before an hour of work
        return made

    @property
    def label(self) -> str:
        """Return how findings and cases name this list."""
        return f"{self.name}@{self.version}"

    def holds(self, image: "Fingerprints") -> bool:
        """Say whether an image matches an entry. Raises EvidenceMissing, Tampered, UsageError."""
        if self.kind != "pdq":
            return image.exact(self.kind) in _exact(self.path, self)
        turned, quality = image.pdq
        return quality >= self.quality and _near(self.path, self).holds(turned, self.distance)


class Fingerprints:
    """The digests of one image, each made when a list first asks for it."""

    def __init__(self, image: bytes, picture: Picture | None) -> None:
        """Name the encoded bytes, and the decoded thumbnail where there is one."""
        self._image, self._picture = image, picture

    def exact(self, kind: str) -> bytes:
        """Return the MD5, SHA-1 or SHA-256 of the encoded bytes."""
        return hashlib.new(kind, self._image, usedforsecurity=False).digest()

    @functools.cached_property
    def pdq(self) -> tuple[PdqHashes, int]:
        """Return the PDQ hashes of the picture in its eight positions, and its quality in 0..100.

        Without a picture the quality is 0. Raises EvidenceMissing where pdqhash is not installed.
        """
        if self._picture is None:
            return np.empty((0, 32), np.uint8), 0
        try:
            import pdqhash  # noqa: PLC0415  # pyright: ignore[reportMissingImports]  optional
        except ImportError:
            raise EvidenceMissing(NO_PDQ.format(name="given")) from None
        bits, quality = pdqhash.compute_dihedral(np.asarray(self._picture.image))
        return np.packbits(np.asarray(bits, dtype=np.uint8), axis=1), int(quality)


class PdqIndex:
    """PDQ hashes sorted by each of their bands, so that a search reads few of them."""

    def __init__(self, hashes: PdqHashes) -> None:
        """Sort hashes (n, 32)."""
        self._words = hashes.view(np.uint64)
        bands = hashes.view(np.uint16).T
        self._orders = [np.argsort(band, kind="stable").astype(np.int32) for band in bands]
        values = np.arange(1 << 16)
        sorted_bands = (band[order] for band, order in zip(bands, self._orders, strict=True))
        self._starts = [
            np.append(np.searchsorted(band, values), len(band)) for band in sorted_bands
        ]

    def holds(self, queries: PdqHashes, distance: int) -> bool:
        """Say whether a hash lies at most `distance` bits (0..31) from one of the queries (m, 32).

        Of two hashes at most 31 bits apart one of 16 bands differs in at most one bit; only hashes
        that share such a band are compared.
        """
        wanted, words = queries.view(np.uint16), queries.view(np.uint64)
        for band, (order, starts) in enumerate(zip(self._orders, self._starts, strict=True)):
            keys = (wanted[:, band, None] ^ ONE_BIT).ravel()
            owners = np.repeat(np.arange(len(queries)), len(ONE_BIT))
            first = starts[keys]
            counts = starts[keys.astype(np.int64) + 1] - first
            skipped = np.repeat(first - np.cumsum(counts) + counts, counts)
            found = order[skipped + np.arange(len(skipped))]
            apart = self._words[found] ^ words[np.repeat(owners, counts)]
            if (np.bitwise_count(apart).sum(axis=1) <= distance).any():
                return True
        return False


def first_match(lists: Sequence[HashList], image: Fingerprints) -> HashList | None:
    """Return the first list that holds an image; the others are not asked."""
    return next((one for one in lists if one.holds(image)), None)


@functools.cache
def _exact(path: Path, one: HashList) -> frozenset[bytes]:
    return frozenset(_digests(path, one))


@functools.cache
def _near(path: Path, one: HashList) -> PdqIndex:
    joined = b"".join(_digests(path, one))
    return PdqIndex(np.frombuffer(joined, np.uint8).reshape(-1, 32))


def _digests(path: Path, one: HashList) -> Iterator[bytes]:
    """Yield the digests of a list: one a line, before any comma; '#' begins a comment.

    The first line that is no comment may be a heading. Raises Tampered, UsageError; what the lines
    hold is never repeated.
    """
    data = path.read_bytes()
    if sha256(data) != one.sha256:
        raise Tampered(
            f"The hash list {one.label} has other bytes than its sha256 in pramana.toml says; "
            "restore it, or pin the new list under a new version."
        )
    wanted, count = HEX_DIGITS[one.kind], 0
    for place, (number, text) in enumerate(_told(data)):
        if place == 0 and not _HEX.fullmatch(text):
            continue
        if len(text) != wanted or not _HEX.fullmatch(text):
            raise UsageError(
                f"Line {number} of the hash list {one.label} is no {one.kind} digest of {wanted} "
                "hex digits; correct the list or its kind."
            )
        count += 1
        yield bytes.fromhex(text)
    if not count:
        raise UsageError(f"The hash list {one.label} holds no digest; take it out or fill it.")


def _told(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, with their numbers."""
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), start=1):
        text = line.partition("#")[0].partition(",")[0].strip()
        if text:
            yield number, text
