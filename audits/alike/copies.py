"""Whether one picture is a copy of another, and how it was changed: the decision on a pair.

A hash proposed that a view of the one looks like a view of the other. Then the one is laid on the
other, and is a copy if what both show agrees and one of them shows nothing of its own beside it: a
photograph taken a step aside shows more on one side and less on the other, a crop does not.

A picture of few colours may be a drawing, and a turned or recoloured drawing may mean another
thing: an arrow, a moon, a hand. It is compared as it is and closely, unless both captions say the
same; and then more has to agree where it is empty in parts, for simple shapes fit each other.

Does not see: more than pixels; what a picture means is not in them.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from audits.alike.alignment import (
    WHOLE,
    Map,
    composed,
    inverse,
    overlaid,
    refined,
    shared,
    shown_beside,
    start_of,
)
from audits.alike.likeness import Agreement, Resemblance, busy_share, greyish, reduced
from audits.alike.views import TURN_NAMES, Box, box_of, turn_matrix, turn_of
from audits.audit import Pixels

BIN_LEVELS, FEW = 16, 3  # levels of a colour that count as one, and how many colours are few
FEW_SHARE = 0.22  # of the pixels in those; 97 of 100 photographs lie below, all drawings above
BUSY_SHARE = 0.95  # of the tiles have something in them: texture, which few drawings have
DRAWN = Resemblance(least_explained=0.985, colour_levels=20.0)
PART = 0.03  # of the area; a copy that shows this much less is a part
TILT_DEGREES = 1.0
TILTED, CUT, OVERLAID, GREY, UNCHANGED = "tilted", "part", "overlaid", "grey", "whole"


class Way(NamedTuple):
    """How two pictures were proposed: which views look alike, under which turn."""

    distance: int  # bits
    view: int  # of the one
    view_b: int
    turn: int

    @property
    def same_frame(self) -> bool:
        """Whether the pictures were proposed as they are: upright, the same view of both."""
        return self.turn == 0 and self.view == self.view_b


class Copy(NamedTuple):
    """How a copy differs, in a few words, and where in it each place of the picture is."""

    how: str
    found: Map


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture as it is compared."""

    image: Image.Image  # longest side 320 px
    small: Pixels  # (64, 64, 3)
    few: bool  # a few colours make up much of it
    busy: bool  # there is something in nearly every part of it

    @classmethod
    def of(cls, pixels: Pixels) -> Self:
        """Return decoded pixels (H, W, 3) as they are compared."""
        small = reduced(pixels)
        return cls(
            Image.fromarray(pixels), small, _few_colours(pixels), busy_share(small) >= BUSY_SHARE
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """How closely drawings must agree, and how much of a picture a copy must explain."""

    agreement: Agreement = field(default_factory=Agreement)
    resemblance: Resemblance = field(default_factory=Resemblance)
    drawn: Resemblance = DRAWN
    drawn_changes: int = 2  # simple shapes fit each other if enough may be changed
    most_ways: int = 4  # that are tried for a pair, the closest first

    def found(
        self, one: Seen, other: Seen, ways: Iterable[Way], *, same_words: bool
    ) -> Copy | None:
        """Return how `other` differs from `one` if it is a copy, else None.

        Args:
            one: the picture.
            other: the picture that may be a copy of it.
            ways: how that may be.
            same_words: whether both captions say the same.
        """
        tried = sorted(ways, key=lambda way: (way.distance, not way.same_frame, way))
        if any(way.same_frame for way in tried) and self.agreement.holds(one.small, other.small):
            return Copy(", ".join(_colours(one.small, other.small)) or UNCHANGED, WHOLE)
        if one.few and other.few and not same_words:
            return None
        copies = (
            self._under(one, other, found, turn=way.turn)
            for way in tried[: self.most_ways]
            for found in _maps(one, other, way)
        )
        return next((copy for copy in copies if copy), None)

    def through(
        self, kept: Seen, between: Copy, other: Seen, copy: Copy, *, same_words: bool
    ) -> Copy | None:
        """Return how `other`, a copy of a copy of `kept`, differs from `kept` itself, else None.

        The two are compared with each other; what lies between only says how to lay them.
        """
        if kept.few and other.few and not same_words:
            return None
        start = composed(between.found, copy.found)
        maps = _refinements(kept, other, start, shared(start))
        copies = (self._under(kept, other, found, turn=turn_of(found)) for found in maps)
        return next((copy for copy in copies if copy), None)

    def _under(self, one: Seen, other: Seen, found: Map, *, turn: int) -> Copy | None:
        """Return how `other` differs if it is a copy under this map."""
        drawn = one.few and other.few and not (one.busy and other.busy)
        resemblance = self.drawn if drawn else self.resemblance
        for changes in _agreeing(one, other, found, resemblance, turn=turn):
            if not drawn or len(changes) <= self.drawn_changes:
                return Copy(", ".join(changes) or UNCHANGED, found)
        return None


def _maps(one: Seen, other: Seen, way: Way) -> Iterator[Map]:
    """Return how the one may lie on the other: as proposed, then as fitted to the grey levels."""
    box, box_b = box_of(way.view, one.image), box_of(way.view_b, other.image)
    return _refinements(one, other, start_of(box, box_b, turn_matrix(way.turn)), box)


def _refinements(one: Seen, other: Seen, start: Map, box: Box) -> Iterator[Map]:
    yield start
    fitted = refined(one.image, other.image, start, box)
    if fitted is not None:
        yield fitted


def _agreeing(
    one: Seen, other: Seen, found: Map, resemblance: Resemblance, *, turn: int
) -> Iterator[list[str]]:
    """Yield how the other differs, for each part at which both agree under this map."""
    beside, plain = shown_beside(one.image, found)
    beside_b, plain_b = shown_beside(other.image, inverse(found))
    if not (plain or plain_b):
        return  # each shows something of its own
    cut = max(beside, beside_b) > PART
    for around, (part, part_b) in enumerate(overlaid(one.image, other.image, found)):
        if resemblance.holds(part, part_b):
            yield [
                *_turns(turn, found, cut=cut),
                *([OVERLAID] if around else []),
                *_colours(part, part_b),
            ]


def _colours(part: Pixels, part_b: Pixels) -> list[str]:
    return [GREY] if greyish(part) != greyish(part_b) else []


def _turns(turn: int, found: Map, *, cut: bool) -> list[str]:
    """Return how a map turns and cuts; what is tilted a little loses its corners with it."""
    words = [TURN_NAMES[turn]] if turn else []
    tilt = found[:, :2] @ turn_matrix(turn).T
    if math.degrees(abs(math.atan2(tilt[1, 0] - tilt[0, 1], np.trace(tilt)))) > TILT_DEGREES:
        return [*words, TILTED]
    return [*words, CUT] if cut else words


def _few_colours(pixels: Pixels) -> bool:
    bins = (pixels.astype(np.int64) + BIN_LEVELS // 2) // BIN_LEVELS @ np.array([1024, 32, 1])
    counts = np.sort(np.bincount(bins.ravel()))[-FEW:]
    return bool(counts.sum() > FEW_SHARE * bins.size)
