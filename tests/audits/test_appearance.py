import math

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from audits.expectations.appearance import appearance, blur
from audits.expectations.scripts import script_of

CHESS = np.indices((64, 64)).sum(axis=0) % 2 * 255


def grey(values):
    return Image.fromarray(np.asarray(values, dtype=np.uint8)).convert("RGB")


def disc(*, blurred_by=0):
    picture = Image.new("RGB", (320, 320), "white")
    ImageDraw.Draw(picture).ellipse((60, 60, 260, 260), fill="black")
    return picture.filter(ImageFilter.GaussianBlur(blurred_by)) if blurred_by else picture


@pytest.mark.parametrize(
    ("values", "entropy", "brightness"),
    [
        (np.zeros((16, 16)), 0.0, 0.0),
        (np.full((16, 16), 255), 0.0, 1.0),
        (CHESS, 1.0, 0.5),
        (np.tile(np.arange(256), (16, 1)), 8.0, 0.5),
        (np.repeat([[0, 85, 170, 255]], 16, axis=0), 2.0, 0.5),
    ],
    ids=["black", "white", "chess", "every tone once", "four tones"],
)
def test_entropy_is_in_bits_and_brightness_a_share(values, entropy, brightness):
    seen = appearance(grey(values))
    assert seen.entropy == pytest.approx(entropy)
    assert seen.brightness == pytest.approx(brightness)


def test_brightness_is_luma():
    seen = [appearance(Image.new("RGB", (16, 16), colour)) for colour in ("red", "lime", "blue")]
    assert [one.brightness for one in seen] == pytest.approx([0.299, 0.587, 0.114], abs=0.003)


def crete(values):
    """The definition, with a real filter over every row and column. Source: Crete et al. 2007."""
    found = []
    for rows in (np.asarray(values, dtype=np.float64), np.asarray(values, dtype=np.float64).T):
        means = np.array([np.convolve(row, np.full(9, 1 / 9), "valid") for row in rows])
        sharp = np.abs(np.diff(rows[:, 4:-4], axis=1))
        lost = np.maximum(0, sharp - np.abs(np.diff(means, axis=1)))
        if sharp.any():
            found.append((sharp.sum() - lost.sum()) / sharp.sum())
    return max(found)


@pytest.mark.parametrize("seed", range(5))
def test_blur_is_the_published_measure(seed):
    random = np.random.default_rng(seed)
    alike = random.integers(0, 256, (1, 40)).repeat(40, axis=0)  # so every fourth row is enough
    noise = random.integers(0, 256, (200, 300))
    assert blur(alike.astype(np.uint8)) == pytest.approx(crete(alike), abs=1e-9)
    assert blur(noise.astype(np.uint8)) == pytest.approx(crete(noise), abs=0.01)


def test_the_more_a_picture_is_blurred_the_more_it_says_so():
    blurs = [appearance(disc(blurred_by=radius)).blur for radius in (0, 1, 2, 4, 8)]
    assert blurs == sorted(blurs)
    assert blurs[0] < 0.15
    assert blurs[-1] > 0.9


def test_blur_does_not_depend_on_contrast():
    faint = Image.blend(disc(), Image.new("RGB", (320, 320), "white"), 0.8)
    assert appearance(faint).blur == pytest.approx(appearance(disc()).blur, abs=0.01)


@pytest.mark.parametrize("shape", [(9, 320), (320, 9), (1, 1)])
def test_of_a_strip_too_thin_to_tell_no_blur_is_said(shape):
    assert blur(np.zeros(shape, dtype=np.uint8)) is None


def test_of_one_tone_no_blur_is_said_and_stripes_count_in_the_direction_they_vary():
    assert blur(np.full((32, 32), 7, dtype=np.uint8)) is None
    stripes = CHESS[:1].repeat(64, axis=0).astype(np.uint8)
    assert blur(stripes) == blur(stripes.T) == pytest.approx(1 / 9)


def test_numbers_are_finite_for_noise():
    random = np.random.default_rng(0)
    for side in (10, 11, 320):
        seen = appearance(grey(random.integers(0, 256, (side, side))))
        assert all(math.isfinite(n) for n in (seen.blur, seen.entropy, seen.brightness))
        assert 0 <= seen.blur <= 1


@pytest.mark.parametrize(
    ("caption", "script"),
    [
        ("a cat", "latin"), ("Ünïcode, déjà vu", "latin"), ("नमस्ते दुनिया", "devanagari"),
        ("তিনটি বিড়াল", "bengali"), ("ஒரு பூனை", "tamil"), ("ఒక పిల్లి", "telugu"),
        ("ಒಂದು ಬೆಕ್ಕು", "kannada"), ("ഒരു പൂച്ച", "malayalam"), ("એક બિલાડી", "gujarati"),
        ("ਇੱਕ ਬਿੱਲੀ", "gurmukhi"), ("ଗୋଟିଏ ବିଲେଇ", "odia"), ("ایک بلی", "arabic"),
        ("ᱢᱤᱫ ᱯᱩᱥᱤ", "ol-chiki"), ("ꯍꯧꯗꯣꯡ", "meetei"), ("кот", "cyrillic"), ("東京の猫", "cjk"),
        ("a cat, बिल्ली", "mixed"), ("c\u0430t", "mixed"), ("123 !?", "none"), ("१२३", "none"),
        ("", "none"), ("😀😀", "none"), ("ℵ", "other"), ("@", "none"),
    ],
)  # fmt: skip
def test_the_script_of_a_caption_is_that_of_its_letters(caption, script):
    assert script_of(caption) == script
