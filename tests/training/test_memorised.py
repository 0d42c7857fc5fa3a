"""Memorisation: a planted copy is found and named, fresh pictures are not, and the odds hold."""

import io
from dataclasses import replace

import imagehash
import numpy as np
import pytest
from PIL import Image

from training.data.samples import ClearedSamples
from training.evaluate.judged import Judge
from training.evaluate.memorised import Memorised, nearest, perceptual_signs
from training.evaluate.scenes import every_scene, render


def scenes(count: int, *, seed: int, side_px: int = 32) -> np.ndarray:
    rng, known = np.random.default_rng(seed), every_scene()
    drawn = [render(known[n], side_px, rng) for n in rng.integers(0, len(known), count)]
    return np.stack([np.asarray(image) for image in drawn]).transpose(0, 3, 1, 2)


def samples(pixels: np.ndarray) -> ClearedSamples:
    ids = tuple(n.to_bytes(32, "big") for n in range(len(pixels)))
    return ClearedSamples(pixels, ids, ("",) * len(pixels))


def copied(picture: np.ndarray) -> np.ndarray:
    """Return a picture as a model that remembers it might draw it: JPEG's losses and a tint."""
    stream = io.BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(stream, format="JPEG", quality=85)
    again = np.asarray(Image.open(stream)).transpose(2, 0, 1)
    return (again * 0.98).astype(np.uint8)


def images(pixels: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(one) for one in np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))]


@pytest.fixture(scope="module")
def trained() -> ClearedSamples:
    return samples(scenes(400, seed=1))


@pytest.fixture(scope="module")
def heldout() -> ClearedSamples:
    return samples(scenes(100, seed=2))


@pytest.mark.parametrize("planted", [0, 3, 12])
def test_planted_copies_are_found_by_both_ways_and_named(tiny, trained, heldout, planted) -> None:
    places = [7 * n + 5 for n in range(planted)]
    drawn = scenes(24, seed=3)
    for number, place in enumerate(places):
        drawn[number] = copied(trained.pixels[place])
    small = replace(tiny.evaluation, resamples=2)
    judge = Judge.of(replace(tiny, image_px=32, evaluation=small))
    found = judge.judged(images(drawn), [""] * 24, trained=trained, heldout=heldout, shown=20)
    for way, found_share in (("by_hash", 1.0), ("by_feature", 0.8)):
        one = found["memorised"][way]
        assert found_share * planted <= one["closer"]["right"] <= planted + 2
        assert one["closer"]["asked"] == 24
        ids = [trained.digests[place].hex() for place in places]
        assert one["nearest"][:planted] == ids
        assert len(one["nearest"]) == 20
        assert one["expected_share"] == pytest.approx(1 / 101)
        assert one["yardstick_pictures"] == 100


def test_fresh_pictures_lie_below_the_yardstick_as_often_as_expected() -> None:
    rng, closer, asked = np.random.default_rng(5), 0, 0
    for _ in range(200):
        drawn, heldout, trained = (rng.normal(size=(n, 6)) for n in (20, 99, 50))
        found = Memorised.of(drawn, heldout, trained)
        assert found is not None
        assert found.expected_share == 0.01
        closer, asked = closer + found.closer.right, asked + found.closer.asked
    assert 0.004 < closer / asked < 0.018  # 4,000 pictures, in clusters of 20


def test_where_the_data_repeat_themselves_a_likeness_is_no_finding() -> None:
    known = np.arange(40.0)[:, None] * np.ones(3)
    found = Memorised.of(known[:4], known[4:8], known)
    assert found is not None
    assert found.yardstick == 0.0
    assert found.closer.right == 0
    assert found.yardstick_middle == 0.0


def test_without_pictures_kept_out_there_is_no_yardstick() -> None:
    rows = np.ones((3, 2))
    assert Memorised.of(rows, np.empty((0, 2)), rows) is None
    assert Memorised.of(rows, np.empty((0, 0)), rows) is None


def test_the_nearest_is_the_one_that_all_distances_say(monkeypatch) -> None:
    monkeypatch.setattr("training.evaluate.memorised.CHUNK", 4)
    rng = np.random.default_rng(6)
    rows, known = rng.normal(size=(11, 5)), rng.normal(size=(30, 5))
    every = np.square(rows[:, None] - known[None]).sum(axis=-1)
    apart, places = nearest(rows, known)
    np.testing.assert_array_equal(places, every.argmin(axis=1))
    np.testing.assert_allclose(apart, every.min(axis=1), rtol=1e-12)


@pytest.mark.parametrize("side_px", [16, 32, 100])
def test_hashes_are_those_of_imagehash_and_distances_are_bits(side_px: int) -> None:
    pixels = scenes(20, seed=9, side_px=side_px)
    pixels[3] = 0  # every coefficient is the median
    signs = perceptual_signs(pixels)
    theirs = [imagehash.phash(image) for image in images(pixels)]
    np.testing.assert_array_equal(signs > 0, [code.hash.ravel() for code in theirs])
    apart, places = nearest(signs[:10], signs[10:])
    bits = [theirs[n] - theirs[10 + place] for n, place in enumerate(places)]
    assert apart.tolist() == bits
