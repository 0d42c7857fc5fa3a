import csv
import io
import math

import imagehash
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from audits.alike.likeness import Agreement, Resemblance, reduced
from audits.alike.search import WIDE_BANDS, close_pairs
from audits.alike.views import hashes
from audits.audit import LONGEST_PX
from governance.images import Undecodable, decode


def scene(seed, size=(200, 160)):
    """A picture with texture: soft noise under a few shapes."""
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 255, (12, 15, 3), dtype=np.uint8))
    image = noise.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y, r = (int(v) for v in rng.integers(20, 140, 3))
        draw.ellipse((x, y, x + r // 2, y + r // 2), fill=tuple(rng.integers(0, 255, 3).tolist()))
    return image


def drawing(colour="orange", hand=(60, 20), beard=None):
    """A flat drawing on white: a disc and a line, as a clock face has; or a face with a beard."""
    image = Image.new("RGB", (72, 72), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((6, 6, 66, 66), fill=colour, outline="black")
    draw.line((36, 36, *hand), fill="black", width=4)
    if beard:
        draw.chord((14, 20, 58, 62), 20, 160, fill=beard)
    return image


def encoded(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return Image.open(io.BytesIO(stream.getvalue())).convert("RGB")


def alike(one, other):
    return Agreement().holds(reduced(np.asarray(one)), reduced(np.asarray(other)))


def thumbnail(data):
    return decode(data, longest_px=LONGEST_PX).image


ODD = {
    "white": Image.new("RGB", (72, 72), "white"),
    "one colour": Image.new("RGB", (40, 90), (200, 30, 60)),
    "half and half": Image.fromarray(np.repeat(np.uint8([0, 255]), 32)[:, None].repeat(64, 1)),
    "a drawing": drawing(),
    "one pixel": Image.new("RGB", (1, 1), "red"),
    "thin": Image.new("RGB", (320, 1), "blue"),
    "noise": Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)),
    "fog": Image.fromarray(np.random.default_rng(0).integers(120, 130, (9, 9, 3), np.uint8)),
    "scene": scene(1),
}


@pytest.mark.parametrize("image", ODD.values(), ids=ODD.keys())
def test_a_hash_is_that_of_imagehash(image):
    (found,) = hashes([image])
    assert found.phash == str(imagehash.phash(image))


@pytest.mark.shared
@pytest.mark.parametrize("file", ["emoji/emoji-openmoji", "emoji/emoji-twemoji", "photos/grocery"])
def test_hashes_of_a_whole_batch_are_those_of_imagehash(shared, file):
    table = pq.read_table(shared / f"{file}.parquet", columns=["image"])["image"].to_pylist()
    images = [thumbnail(data) for data in table[::6]]
    assert [found.phash for found in hashes(images)] == [str(imagehash.phash(i)) for i in images]


def test_plain_pictures_are_too_plain_to_hash():
    plain = {name: hashes([image])[0].plain for name, image in ODD.items()}
    assert plain == {
        "white": True, "one colour": True, "half and half": True, "a drawing": False,
        "one pixel": True, "thin": True, "noise": False, "fog": True, "scene": False,
    }  # fmt: skip


def test_no_picture_has_no_hash():
    assert hashes([]) == []


BANDS = [(bits, ()) for bits in range(16)] + [(bits, WIDE_BANDS) for bits in range(9)]


@pytest.mark.parametrize(("bits", "bands"), BANDS)
def test_the_search_finds_every_pair_that_brute_force_finds(bits, bands):
    rng = np.random.default_rng(bits)
    far = rng.integers(0, 1 << 64, 600, dtype=np.uint64)
    flips = [
        np.uint64(sum(1 << int(b) for b in rng.choice(64, n, replace=False))) for n in range(18)
    ]
    crowd = far[:40] & np.uint64(0xFFFF)  # many that share three bands
    hashed = np.unique(np.concatenate([far, crowd, *(far[:60] ^ flip for flip in flips)]))
    distance = np.bitwise_count(hashed[:, None] ^ hashed[None])
    expected = np.argwhere(np.triu(distance <= bits, 1))
    assert len(expected) >= (60 if bits else 0)
    assert close_pairs(hashed, bits, bands).tolist() == expected.tolist()


@pytest.mark.parametrize("count", [0, 1])
def test_the_search_takes_few_hashes(count):
    assert close_pairs(np.arange(count, dtype=np.uint64), 8).shape == (0, 2)


COPIES = {
    "itself": lambda i: i,
    "JPEG 30": lambda i: encoded(i, quality=30),
    "half size": lambda i: i.resize((100, 80)),
    "other aspect": lambda i: i.resize((160, 160)),
    "brighter": lambda i: ImageEnhance.Brightness(i).enhance(1.15),
    "less contrast": lambda i: ImageEnhance.Contrast(i).enhance(0.8),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES.keys())
def test_a_copy_agrees_with_its_original(change):
    assert alike(scene(1), change(scene(1)))


OTHERS = {
    "another scene": (scene(1), scene(2)),
    "the hand of a clock": (drawing(hand=(60, 20)), drawing(hand=(60, 26))),
    "the skin of a drawing": (drawing("#f7dece"), drawing("#5c4033")),
    "the next skin of a drawing": (drawing("#f7dece"), drawing("#e0bb95")),
    "black for white": (Image.new("RGB", (72, 72), "white"), Image.new("RGB", (72, 72), "black")),
    "grey for colour": (scene(1), scene(1).convert("L").convert("RGB")),
    "mirrored": (scene(1), scene(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS.keys())
def test_another_picture_does_not_agree(one, other):
    assert not alike(one, other)
    assert not alike(other, one)


def levels(image, change):
    return Image.fromarray(change(np.asarray(image).astype(float)).clip(0, 255).astype(np.uint8))


def with_detail(image):
    """The same picture with a detail drawn anew, such as a mouth in a face."""
    changed = image.copy()
    ImageDraw.Draw(changed).line((90, 90, 104, 94), fill="black", width=3)
    return changed


DIM = levels(scene(1), lambda p: p * 0.4)
LOOSE = {
    "light_levels": math.inf, "colour_levels": math.inf, "least_ncc": -2.0,
    "tile_residual": math.inf, "tile_ratio": math.inf, "dark_residual": math.inf,
}  # fmt: skip
GATES = {
    "light_levels": (DIM, levels(DIM, lambda p: p + 100)),
    "colour_levels": (scene(1), levels(scene(1), lambda p: p * [1.3, 1.0, 0.5])),
    "least_ncc": (scene(1), Image.blend(scene(1), scene(2), 0.5)),
    "tile_residual": (scene(1), Image.blend(scene(1), scene(2), 0.5)),
    "tile_ratio": (scene(1), with_detail(scene(1))),
    "dark_residual": (drawing("#3b2a20"), drawing("#3b2a20", beard="#120b08")),
}


@pytest.mark.parametrize(("gate", "pair"), GATES.items(), ids=GATES.keys())
def test_each_tolerance_tells_pictures_apart_alone(gate, pair):
    one, other = (reduced(np.asarray(image)) for image in pair)
    assert Agreement(**LOOSE).holds(one, other)
    assert not Agreement(**LOOSE | {gate: getattr(Agreement(), gate)}).holds(one, other)


SOFT = scene(1).filter(ImageFilter.GaussianBlur(4))
FREE = {
    "least_explained": -math.inf, "tile_left": math.inf, "tile_clean": math.inf,
    "light_levels": math.inf, "colour_levels": math.inf, "least_levels": 0.0,
}  # fmt: skip
RESEMBLANCE_GATES = {
    "least_explained": (scene(1), Image.blend(scene(1), scene(2), 0.5)),
    "tile_left": (scene(1), Image.blend(scene(1), scene(2), 0.5)),
    "tile_clean": (scene(1), with_detail(scene(1))),
    "light_levels": (DIM, levels(DIM, lambda p: p + 100)),
    "colour_levels": (scene(1), Image.merge("RGB", [*scene(1).split()[:2], scene(2).split()[2]])),
    "least_levels": (levels(SOFT, lambda p: p * 0.05 + 120), SOFT),
}


@pytest.mark.parametrize(("gate", "pair"), RESEMBLANCE_GATES.items(), ids=RESEMBLANCE_GATES.keys())
def test_each_limit_of_what_is_left_tells_pictures_apart_alone(gate, pair):
    one, other = (reduced(np.asarray(image)) for image in pair)
    assert Resemblance(**FREE).holds(one, other)
    assert not Resemblance(**FREE | {gate: getattr(Resemblance(), gate)}).holds(one, other)


@pytest.mark.shared
def test_of_the_labelled_pairs_the_proposed_copies_agree_and_no_other_pair_does(shared):
    folder, seen = shared / "neardup", {}

    def pictures(name):
        if name not in seen:
            image = thumbnail((folder / name).read_bytes())
            seen[name] = reduced(np.asarray(image)), imagehash.phash(image)
        return seen[name]

    found = {"0": 0, "1": 0}
    pairs = (folder / "pairs.csv").read_text().splitlines()
    for pair in csv.DictReader(pairs):
        try:
            (one, near), (other, far) = pictures(pair["image_a"]), pictures(pair["image_b"])
        except Undecodable:
            continue  # formats we do not decode
        agrees = Agreement().holds(one, other)
        found[pair["is_copy"]] += agrees and (near - far <= 8 or pair["is_copy"] == "0")
    assert found["0"] == 0
    assert found["1"] >= 174  # 178 when this was written; mirrored and turned copies come later
