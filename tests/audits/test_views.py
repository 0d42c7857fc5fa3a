import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps

from audits.alike.views import (
    ENTRY,
    TRIMMED,
    TURN_NAMES,
    TURNS,
    box_of,
    hashes,
    turn_matrix,
    turn_of,
)

TURNED = {
    "flipped": Image.Transpose.FLIP_TOP_BOTTOM,
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "turned 180": Image.Transpose.ROTATE_180,
    "transposed": Image.Transpose.TRANSPOSE,
    "turned 90": Image.Transpose.ROTATE_90,
    "turned 270": Image.Transpose.ROTATE_270,
    "transposed and turned 180": Image.Transpose.TRANSVERSE,
}


def scene(seed=1, size=(200, 160)):
    noise = np.random.default_rng(seed).integers(0, 255, (12, 15, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def entries(image):
    (found,) = hashes([image])
    return np.frombuffer(found.entries, ENTRY)


def upright(image):
    """Return the upright hash of each view, as 16 hex digits."""
    return {how // 8: f"{code:016x}" for code, how in entries(image).tolist() if how % 8 == 0}


@pytest.mark.parametrize("view", range(TRIMMED))
def test_each_view_has_the_hash_that_imagehash_gives_that_part(view):
    image = scene()
    box = [
        share * (image.width, image.height)[n % 2] for n, share in enumerate(box_of(view, image))
    ]
    part = image.convert("L").crop(tuple(round(edge) for edge in box))
    assert upright(image)[view] == str(imagehash.phash(part))


def test_the_view_without_border_is_the_picture_inside_it():
    framed = ImageOps.expand(scene(), 20, "white")
    assert upright(framed)[TRIMMED] == upright(scene())[0]
    assert TRIMMED not in upright(scene())


def test_a_picture_that_is_mostly_border_has_no_view_without_it():
    assert TRIMMED not in upright(ImageOps.expand(scene(size=(60, 60)), 100, "white"))


def test_a_plain_part_has_no_hash_of_its_own():
    hollow = scene()
    hollow.paste("white", (20, 16, 180, 144))
    assert 0 in upright(hollow)
    assert 3 not in upright(hollow)


@pytest.mark.parametrize("name", TURNED)
def test_the_turned_copies_of_a_picture_share_a_hash_that_tells_the_turn(name):
    turned = entries(scene().transpose(TURNED[name]))
    shared = {
        TURN_NAMES[turn_of(turn_matrix(how_b % 8) @ turn_matrix(how % 8).T)]
        for code, how in entries(scene()).tolist()
        for code_b, how_b in turned.tolist()
        if how // 8 == how_b // 8 == 0 and (code ^ code_b).bit_count() <= 2
    }
    # A place of the one is where the inverse turn puts it in the other.
    back = {"turned 90": "turned 270", "turned 270": "turned 90"}
    assert back.get(name, name) in shared


@pytest.mark.parametrize("turn", [turn for turn in TURNS if turn])
def test_a_turn_is_where_its_name_says(turn):
    pixels = np.arange(25).reshape(5, 5)
    image = Image.fromarray(pixels.astype(np.uint8))
    turned = np.asarray(image.transpose(TURNED[TURN_NAMES[turn]]))
    x, y = turn_matrix(turn) @ [1.0, -2.0]  # from the middle
    assert turned[2 - 2, 2 + 1] == pixels[round(2 + y), round(2 + x)]


def test_hashes_do_not_depend_on_the_batch():
    images = [scene(seed) for seed in range(5)]
    assert hashes(images) == [found for image in images for found in hashes([image])]
