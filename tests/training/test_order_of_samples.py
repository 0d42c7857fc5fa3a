"""The order of samples: a function of the seed and of what was seen before, on any team."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.batches import Batches
from training.config import StageConfig
from training.data.order import CHUNK, Order, places
from training.data.samples import ClearedSamples


def _of(config, shapes, **changes):
    return Order.of(replace(config, **changes), np.array(shapes, np.uint8))


def _walked(order, steps, count):
    return [order.after(step * count, count) for step in range(steps)]


def test_with_one_shape_it_is_the_order_that_every_earlier_run_had(tiny) -> None:
    order = _of(tiny, [0] * 84)
    for seen in (0, 8, 80, 8_000):
        assert order.after(seen, 8) == (0, places(tiny.seed, seen, 8, samples=84))
    assert places(20260301, 0, 5, samples=84) == [17, 40, 75, 59, 45]  # as it was before shapes


def test_every_shape_has_epochs_of_its_own(tiny) -> None:
    shapes = [0] * 16 + [1] * 48
    walked = _walked(_of(tiny, shapes), 80, 8)
    for shape, members in ((0, range(16)), (1, range(16, 64))):
        seen = [place for number, found in walked if number == shape for place in found]
        epoch = len(members)
        for first in range(0, len(seen) - epoch + 1, epoch):
            assert Counter(seen[first : first + epoch]) == Counter(members)
        assert seen[:epoch] != seen[epoch : 2 * epoch]


def test_shapes_with_as_many_samples_have_orders_apart(tiny) -> None:
    walked = _walked(_of(tiny, [0] * 32 + [1] * 32), 16, 8)
    first, second = (
        [p % 32 for n, found in walked if n == shape for p in found] for shape in (0, 1)
    )
    assert first[:24] != second[:24]


@given(
    sizes=st.lists(st.integers(0, 5_000), min_size=2, max_size=13).filter(any),
    seed=st.integers(0, 2**63),
    blocks=st.integers(1, 3_000),
)
@settings(deadline=None, max_examples=40)
def test_a_shape_comes_as_often_as_its_share_says(tiny_order, sizes, seed, blocks) -> None:
    members, first = [], 0
    for size in sizes:
        members.append(np.arange(first, first + size))
        first += size
    order = Order(seed=seed, members=tuple(members), block=1)
    drawn = Counter(order.after(block, 1)[0] for block in range(blocks))
    for shape, size in enumerate(sizes):
        # an arc of the golden rotation is met with a discrepancy of O(log n); 2 log2 n is ample
        assert abs(drawn[shape] - blocks * size / sum(sizes)) <= 3 + 2 * np.log2(blocks + 1)


@pytest.fixture(scope="module")
def tiny_order() -> None:
    """Nothing: Hypothesis refuses fixtures of a function's scope."""


def test_ranks_go_on_where_blocks_are_counted_anew() -> None:
    members = (np.arange(3), np.arange(3, 10))
    order = Order(seed=7, members=members, block=1)
    ranks = Counter()
    for block in range(CHUNK + 50):
        if block >= CHUNK - 50:
            shape, found = order.after(block, 1)
            expected = places(7, ranks[shape], 1, samples=len(members[shape]), shape=shape)
            assert found == members[shape][expected].tolist()
        shape, _ = order.after(block, 0)
        ranks[shape] += 1


def test_a_stage_that_begins_within_a_block_neither_skips_nor_repeats(tiny) -> None:
    first = StageConfig(time_share=0.5, image_px=16, batch_size=4, repa=True)
    order = _of(tiny, [0] * 32 + [1] * 32, earlier=(first,), batch_size=8)
    assert order.block == 8
    late = [order.after(4 + 8 * step, 8) for step in range(200)]
    for shape, members in ((0, range(32)), (1, range(32, 64))):
        seen = [place for number, found in late if number == shape for place in found]
        whole = seen[4 + 24 : 4 + 24 + 32]
        assert Counter(seen[28:60]) == Counter(whole) == Counter(members)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_parts_of_all_processes_make_up_the_whole_batch(tiny, world) -> None:
    config = replace(tiny, parts=4, batch_size=16)
    pixels = np.random.default_rng(1).integers(0, 256, (40, 3, 16, 16)).astype(np.uint8)
    digests = tuple(bytes([n]) * 32 for n in range(40))
    samples = ClearedSamples(pixels, digests, ("",) * 40)
    whole = Batches(config=config, samples=samples).after(48, stage=0)
    each = [
        Batches(config=config, samples=samples, rank=rank, world=world).after(48, stage=0)
        for rank in range(world)
    ]
    assert [digest for one in each for digest in one.digests] == list(whole.due)
    assert {one.due for one in each} == {whole.due} == {whole.digests}
    parts = {number: part for one in each for number, part in one.parts.items()}
    assert parts.keys() == whole.parts.keys() == set(range(4))
    for number, part in parts.items():
        assert part.places == whole.parts[number].places
        assert part.pixels.equal(whole.parts[number].pixels)
        assert (part.pixels.numpy() == pixels[list(part.places)]).all()
