"""Hostile bytes become a reason, never a crash; honest bytes become one RGB picture."""

import io
from pathlib import Path

import pytest
from PIL import Image

from governance.images import Undecodable, decode


def _encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.shared
def test_every_malformed_file_is_decoded_or_refused_with_a_reason(shared: Path) -> None:
    paths = [
        p for p in sorted((shared / "malformed").rglob("*"))
        if p.is_file() and p.suffix not in {".csv", ".md", ".tar", ".zip"}
    ]  # fmt: skip
    refused = 0
    for path in paths:
        try:
            assert decode(path.read_bytes(), longest_px=320).image.mode == "RGB"
        except Undecodable as reason:
            refused += bool(str(reason))
    assert refused > len(paths) / 2


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "hidden"),
    [("polyglot-png-zip.png", True), ("polyglot-jpg-zip.jpg", True), ("trailing-4KiB.jpg", True),
     ("cmyk.jpg", False), ("1x1.png", False)],
)  # fmt: skip
def test_bytes_behind_the_picture_are_counted(shared: Path, name: str, *, hidden: bool) -> None:
    picture = decode((shared / "malformed" / "made" / name).read_bytes())
    assert (picture.trailing_bytes > 0) is hidden


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_trailing_bytes_are_counted_exactly(form: str) -> None:
    data = _encoded(Image.effect_noise((40, 30), 60).convert("RGB"), form)
    assert decode(data).trailing_bytes == 0
    assert decode(data + b"PK" * 50).trailing_bytes == 100


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = _encoded(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    with pytest.raises(Undecodable, match=r"20000 x 20000|decompression bomb"):
        decode(bomb)


def test_transparent_parts_become_white_and_still_tell_pictures_apart() -> None:
    clear, white = Image.new("RGBA", (4, 4)), Image.new("RGBA", (4, 4), "white")
    a, b = decode(_encoded(clear)), decode(_encoded(white))
    assert a.image.getpixel((0, 0)) == b.image.getpixel((0, 0)) == (255, 255, 255)
    assert a.pixels_sha256 != b.pixels_sha256


def test_a_turned_photograph_is_turned_back() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decode(_encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif))
    assert (picture.width_px, picture.height_px, picture.image.size) == (40, 20, (20, 40))


def test_sixteen_bit_grey_keeps_its_middle() -> None:
    data = _encoded(Image.new("I;16", (4, 4), 32_768))
    assert decode(data).image.getpixel((0, 0)) == (128, 128, 128)


def test_the_longest_side_is_bounded_and_small_pictures_are_left_alone() -> None:
    assert max(decode(_encoded(Image.new("RGB", (900, 300))), longest_px=320).image.size) == 320
    assert decode(_encoded(Image.new("RGB", (72, 72))), longest_px=320).image.size == (72, 72)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"GIF89a"], ids=repr)
def test_what_is_no_picture_has_a_reason_that_never_changes(data: bytes) -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(Undecodable) as caught:
            decode(data)
        reasons.add(str(caught.value))
    assert len(reasons) == 1
