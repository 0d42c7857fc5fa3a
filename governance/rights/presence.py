"""Presence: how many samples of a sealed table have exactly these image bytes. None is an answer.

The leaves of a table are sorted by image digest, so the samples of one image stand side by side. A
proof shows all of them with the leaf before and the leaf after, each with its path to the root:
between neighbours there is no room for another. It tells the size of the table, and of each leaf
shown the image's digest and one digest over all that is said of it; no caption, no id.

Does not see: a picture that was saved anew, which has other bytes; or a table that was sealed
unsorted, which is why whoever recomputes a root refuses one (`snapshot.check_sorted`).
"""

import base64
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from governance.canon import Json
from governance.errors import Tampered
from governance.records import as_object
from governance.trail import merkle

IMAGE_BYTES = 32  # of a leaf of 64: the image's digest stands first


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A leaf (64 bytes), its index in the table, and its audit path, lowest hash first."""

    index: int
    leaf: bytes
    path: tuple[bytes, ...]

    @property
    def image(self) -> bytes:
        """Return the digest of the image, 32 bytes."""
        return self.leaf[:IMAGE_BYTES]

    def to_json(self) -> dict[str, Json]:
        """Return the place as JSON; the path is its hashes joined, in base64."""
        return {
            "index": self.index,
            "leaf": self.leaf.hex(),
            "path": base64.b64encode(b"".join(self.path)).decode(),
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """Read a place back. Raises KeyError, TypeError, ValueError when it is none."""
        joined, step = base64.b64decode(record["path"], validate=True), merkle.HASH_BYTES
        path = tuple(joined[i : i + step] for i in range(0, len(joined), step))
        return cls(index=_count(record["index"]), leaf=bytes.fromhex(record["leaf"]), path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Consecutive leaves of a table of `size`: all of one image, and their neighbours."""

    size: int
    places: tuple[Place, ...]

    def to_json(self) -> dict[str, Json]:
        """Return the proof as JSON."""
        return {"size": self.size, "places": [place.to_json() for place in self.places]}

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read a proof back. Raises Tampered when a field is missing, unknown or mistyped."""
        record = as_object(value, "a proof of presence")
        try:
            places = [Place.from_json(as_object(p, "a place")) for p in record["places"]]
            read = cls(size=_count(record["size"]), places=tuple(places))
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise Tampered(f"This is no proof of presence: {fault}.") from None
        if read.to_json() != record:
            raise Tampered("This proof of presence says more than one does, or says it otherwise.")
        return read


def prove(leaves: Sequence[bytes], sha256: str) -> Presence:
    """Return the proof of how many leaves have an image.

    Args:
        leaves: of a whole table, sorted by image digest: `snapshot.sample_leaves`.
        sha256: the digest of the image's bytes, as hex.
    """
    image, tree = bytes.fromhex(sha256), merkle.Tree.of(leaves)
    first = bisect_left(leaves, image, key=_image_of)
    last = bisect_right(leaves, image, lo=first, key=_image_of)
    shown = range(max(first - 1, 0), min(last + 1, tree.size))
    return Presence(
        size=tree.size,
        places=tuple(
            Place(
                index=index,
                leaf=leaves[index],
                path=tuple(merkle.inclusion_proof(tree.node, index, tree.size)),
            )
            for index in shown
        ),
    )


def check(presence: Presence, *, sha256: str, root: str, size: int) -> int:
    """Return how many samples of a table have an image, once it is proved.

    Args:
        presence: the proof.
        sha256: the digest of the image's bytes, as hex.
        root: the root of the table, as hex.
        size: how many samples the table has.

    Raises:
        Tampered: it is not proved; the message names the check by number.
    """
    image, places = bytes.fromhex(sha256), presence.places
    # (1) It speaks of a table of this size; an empty one has a root of its own, and shows nothing.
    wanted = root if size else merkle.EMPTY_ROOT.hex()
    if presence.size != size or root != wanted or bool(places) != bool(size):
        raise Tampered(f"presence (1): this is no proof about a table of {size} samples.")
    # (2) Each leaf shown stands in the table where the proof says.
    for place in places:
        _check_place(place, size=size, root=root)
    # (3) They stand side by side, in order.
    first, images = places[0].index if places else 0, [place.image for place in places]
    if [place.index for place in places] != list(range(first, first + len(places))):
        raise Tampered("presence (3): there is room for a sample between two that are shown.")
    if images != sorted(images):
        raise Tampered("presence (3): the table was sealed unsorted; it proves no absence.")
    # (4) They reach past the image on both sides, or to an edge, and show nothing beyond.
    before, after = sum(i < image for i in images), sum(i > image for i in images)
    if before > 1 or (not before and first > 0):
        raise Tampered("presence (4): what is shown does not begin where this image would.")
    if after > 1 or (not after and first + len(places) < size):
        raise Tampered("presence (4): what is shown does not end where this image would.")
    return len(places) - before - after


def _check_place(place: Place, *, size: int, root: str) -> None:
    try:
        merkle.check_inclusion(
            merkle.leaf_hash(place.leaf),
            index=place.index,
            size=size,
            proof=place.path,
            expected_root=bytes.fromhex(root),
        )
    except Tampered as fault:
        raise Tampered(f"presence (2): {fault}") from None


def _image_of(leaf: bytes) -> bytes:
    return leaf[:IMAGE_BYTES]


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
