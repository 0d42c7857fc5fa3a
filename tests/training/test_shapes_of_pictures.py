"""Shapes: whole patches, about as many as in the square, none wider than allowed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from training.data.shapes import Shapes, fitted, is_enlarged, shapes_of


@given(
    side=st.integers(2, 64),
    patch_px=st.sampled_from([1, 8, 16, 32]),
    count=st.integers(2, 13),
    widest=st.floats(1.0, 4.0),
)
def test_shapes_are_whole_patches_about_as_many_as_in_the_square(
    side, patch_px, count, widest
) -> None:
    shapes = shapes_of(side * patch_px, patch_px=patch_px, count=count, widest=widest)
    assert len(shapes) == count
    for height, width in shapes:
        assert height % patch_px == width % patch_px == 0
        assert 1 / widest <= width / height <= widest
        tokens = (height // patch_px) * (width // patch_px)
        assert abs(tokens - side**2) <= height / patch_px / 2
    aspects = [width / height for height, width in shapes]
    assert aspects == sorted(aspects)


def test_the_middle_one_of_an_odd_number_is_the_square() -> None:
    assert shapes_of(512, patch_px=32, count=13, widest=2.0)[6] == (512, 512)


def test_shapes_span_what_prx_allows() -> None:
    """PRX part 4 has 13 shapes from 1:2 to 2:1; of 256 patches there are 11 such grids."""
    coarse = shapes_of(512, patch_px=32, count=13, widest=2.0)
    assert len(set(coarse)) == 11
    fine = shapes_of(1024, patch_px=16, count=13, widest=2.0)
    assert len(set(fine)) == 13
    assert fine[0][1] / fine[0][0] == pytest.approx(0.5, rel=0.05)
    assert fine[-1][1] / fine[-1][0] == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(
    ("size", "aspect"), [((640, 480), 4 / 3), ((480, 640), 3 / 4), ((300, 300), 1.0)]
)
def test_a_picture_gets_the_shape_that_is_nearest_in_aspect(size, aspect) -> None:
    shapes = Shapes(sizes_px=(256, 512), patch_px=16, count=9, widest=2.0)
    chosen = shapes.nearest(Image.new("RGB", size))
    apart = [abs(math.log(w / h / aspect)) for h, w in shapes.at(512)]
    assert apart[chosen] == min(apart)
    assert apart[chosen] < 0.09  # half a step of the logarithm


def test_a_picture_is_cropped_to_cover_its_shape() -> None:
    picture = Image.new("RGB", (90, 30), "white")
    picture.paste((255, 0, 0), (30, 0, 60, 30))
    assert fitted(picture, (16, 16)).getpixel((8, 8)) == (255, 0, 0)
    assert fitted(picture, (16, 32)).size == (32, 16)


@pytest.mark.parametrize(
    ("size", "enlarged"), [((24, 24), False), ((23, 24), True), ((32, 32), False), ((99, 9), True)]
)
def test_only_more_than_four_thirds_counts_as_enlarged(size, enlarged) -> None:
    assert is_enlarged(Image.new("RGB", size), (32, 32)) is enlarged
