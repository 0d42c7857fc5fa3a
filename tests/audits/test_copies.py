import io

import numpy as np
import pytest
from duplicates_made import concluded, concluded_of, sample
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Turn = Image.Transpose


def scene(seed=1, size=(320, 240), *, box=None):
    """A photograph of sorts: soft noise at several sizes; `box` is a part of it."""
    rng = np.random.default_rng(seed)
    levels = np.zeros((480, 640, 3))
    for cells, strength in ((4, 60), (9, 50), (30, 40), (80, 20)):
        noise = rng.integers(0, 255, (cells, cells + 2, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
        levels += (np.asarray(layer, dtype=float) - 128) * strength / 64
    image = Image.fromarray((levels + 128).clip(0, 255).astype(np.uint8))
    return image.crop(box or (0, 0, 640, 480)).resize(size, Image.Resampling.BOX)


def moon():
    """A drawing: a disc with its right half dark."""
    image = Image.new("RGB", (72, 72), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((6, 6, 66, 66), fill="#ffcc22", outline="black")
    draw.chord((6, 6, 66, 66), -90, 90, fill="#333344")
    draw.ellipse((16, 24, 26, 34), fill="#ddaa11")
    return image


def encoded(image, form="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def crop(image, share):
    x, y = (round(side * (1 - share) / 2) for side in image.size)
    return image.crop((x, y, image.width - x, image.height - y))


def captioned(image):
    image = image.copy()
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 206, 320, 240), fill="black")
    draw.text((20, 212), "when you see it", fill="white", font_size=20)
    return image


CHANGES = {
    "mirrored": (lambda i: i.transpose(Turn.FLIP_LEFT_RIGHT), "mirrored"),
    "flipped": (lambda i: i.transpose(Turn.FLIP_TOP_BOTTOM), "flipped"),
    "upside down": (lambda i: i.transpose(Turn.ROTATE_180), "turned 180"),
    "a quarter turn": (lambda i: i.transpose(Turn.ROTATE_90), "turned 270"),
    "the other quarter": (lambda i: i.transpose(Turn.ROTATE_270), "turned 90"),
    "transposed": (lambda i: i.transpose(Turn.TRANSPOSE), "transposed"),
    "cropped a little": (lambda i: crop(i, 0.95), "part"),
    "cropped": (lambda i: crop(i, 0.8), "part"),
    "cropped to two fifths": (lambda i: crop(i, 0.64), "part"),
    "framed": (lambda i: ImageOps.expand(i, 24, "white"), "part"),
    "tilted": (lambda i: i.rotate(4, Image.Resampling.BICUBIC), "tilted"),
    "captioned": (captioned, "overlaid"),
    "grey": (lambda i: i.convert("L"), "grey"),
    "blurred": (lambda i: i.filter(ImageFilter.GaussianBlur(2)), "whole"),
    "sharpened": (lambda i: i.filter(ImageFilter.UnsharpMask(3, 200)), "whole"),
    "brighter": (lambda i: ImageEnhance.Brightness(i).enhance(1.4), "whole"),
    "less contrast": (lambda i: ImageEnhance.Contrast(i).enhance(0.5), "whole"),
    "mirrored and cropped": (lambda i: crop(ImageOps.mirror(i), 0.8), "mirrored, part"),
}


@pytest.mark.parametrize(("change", "view"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_photograph_is_a_copy_and_the_change_is_named(change, view):
    samples = [
        sample("a", encoded(scene(size=(640, 480)), "JPEG"), caption="a view of the hills"),
        sample("b", encoded(change(scene()), "JPEG", quality=80), caption="hills"),
        sample("c", encoded(scene(2), "JPEG"), caption="a view of the hills"),
    ]
    rows = {row["id"]: row for row in concluded_of(samples).columns.to_pylist()}
    assert set(rows) == {"a", "b"}
    assert (rows["b"]["duplicate_of"], rows["b"]["duplicate_view"]) == ("a", view)


def repainted(image):
    image = image.copy()
    ImageDraw.Draw(image).ellipse((130, 90, 190, 150), fill="#f4e0d0")
    return image


FIRST = scene(box=(0, 0, 616, 462))
OTHERS = {
    "another scene": scene(2),
    "a step aside": scene(box=(24, 0, 640, 462)),
    "a step aside and a little turned": scene(box=(16, 8, 640, 476)).rotate(1.5),
    "something repainted": repainted(FIRST),
    "something repainted and mirrored": ImageOps.mirror(repainted(FIRST)),
    "negative": ImageOps.invert(FIRST),
    "other colours": Image.merge("RGB", FIRST.split()[::-1]),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_another_photograph_is_not_a_copy(other):
    samples = [sample("a", encoded(FIRST)), sample("b", encoded(other))]
    assert concluded(samples)[0] == {}


def drawn(change, *, caption):
    samples = [
        sample("a", encoded(moon()), caption="first quarter moon"),
        sample("b", encoded(change(moon())), caption=caption),
    ]
    return {name: row[0] for name, row in concluded(samples)[0].items()}


DRAWN = {
    "mirrored": ImageOps.mirror,
    "turned": lambda i: i.transpose(Turn.ROTATE_90),
    "cropped": lambda i: crop(i, 0.9),
    "grey": ImageOps.grayscale,
}


@pytest.mark.parametrize("change", DRAWN.values(), ids=DRAWN.keys())
def test_a_changed_drawing_is_a_copy_only_where_both_captions_say_the_same(change):
    assert drawn(change, caption="last quarter moon") == {}
    assert drawn(change, caption="First quarter MOON") == {"b": "a"}


def test_a_drawing_saved_again_is_a_copy_whatever_the_caption():
    samples = [
        sample("a", encoded(moon()), caption="first quarter moon"),
        sample("b", encoded(moon(), "JPEG", quality=85), caption="half of a moon"),
    ]
    assert concluded(samples)[0] == {"b": ("a", "near", True)}


@pytest.mark.parametrize("skin", ["#f3d2a2", "#d5ab88", "#af7e57", "#7c533e"])
def test_the_next_skin_of_a_drawing_is_another_picture_though_nothing_says_so(skin):
    def hand(colour):
        image = Image.new("RGB", (72, 72), "white")
        draw = ImageDraw.Draw(image)
        draw.rounded_rectangle((18, 24, 54, 66), 10, fill=colour, outline="black")
        draw.rounded_rectangle((22, 6, 32, 40), 5, fill=colour, outline="black")
        draw.rectangle((18, 58, 54, 70), fill="#3355aa")
        return image

    pairs = [sample("a", encoded(hand("#f7dece"))), sample("b", encoded(hand(skin)))]
    assert concluded(pairs)[0] == {}
