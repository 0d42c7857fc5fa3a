"""Which hashes lie close to each other, among millions, with none missed.

Does not see: what was hashed.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

BANDS, WIDE_BANDS = (16, 16, 16, 16), (22, 21, 21)  # bits of a hash that are looked up together
MANY = 1 << 20  # from this many hashes, bands of 16 bits hold too many each
MOST_BITS = 15  # four bands, each searched within three flipped bits at most
CHUNK = 1 << 16  # hashes looked up at a time


def close_pairs(hashed: Hashes, bits: int, bands: Sequence[int] = ()) -> Indices:
    """Return all pairs `(n, 2)` of different hashes at most `bits` (0..15) apart, sorted.

    `bands` are the bits looked up together, 64 in all; by default as suits the number of hashes.

    No pair is missed: where each band differs by more than its radius, the hashes differ by more
    than `bits`; so a pair lies within the radius of some band, and is looked up.
    Source: Norouzi, Punjani and Fleet 2012, multi-index hashing, proposition 1.
    """
    count = np.uint64(max(len(hashed), 1))
    codes = [np.empty(0, np.uint64)]
    widths = bands or (BANDS if len(hashed) < MANY else WIDE_BANDS)
    for band, width in enumerate(widths):
        radius = (bits + 1) // len(widths) + (band < (bits + 1) % len(widths)) - 1
        keys = hashed >> np.uint64(sum(widths[:band])) & np.uint64((1 << width) - 1)
        pairs = _band_pairs(hashed, keys.astype(np.int64), width, radius=radius, bits=bits)
        codes += [i * count + j for i, j in pairs]
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), count), axis=1).astype(np.int64)


def _band_pairs(
    hashed: Hashes, keys: Indices, width: int, *, radius: int, bits: int
) -> Iterator[tuple[Hashes, Hashes]]:
    """Yield pairs, lower index first, at most `bits` apart and `radius` apart in one band."""
    order = np.argsort(keys, kind="stable")
    starts = np.searchsorted(keys[order], np.arange((1 << width) + 1))
    for flipped in range(radius + 1):
        for flips in itertools.combinations(range(width), flipped):
            mask = sum(1 << bit for bit in flips)
            for first in range(0, len(keys), CHUNK):
                wanted = keys[first : first + CHUNK] ^ mask
                sizes = starts[wanted + 1] - starts[wanted]
                left = np.repeat(np.arange(first, first + len(wanted)), sizes)
                within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
                right = order[np.repeat(starts[wanted], sizes) + within]
                close = np.bitwise_count(hashed[left] ^ hashed[right]) <= bits
                close &= left < right
                yield left[close].astype(np.uint64), right[close].astype(np.uint64)
