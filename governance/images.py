"""Safe decoding, shared by audits and training: encoded bytes in, an RGB picture and facts out.

Does not see: what a picture shows. Pillow only; no file is opened here, only bytes already read.
"""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageOps

from governance.canon import sha256

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP")  # no TIFF: libtiff shouts on stderr
MAX_PIXELS = 64_000_000  # 8000 x 8000; a bomb of 30,000 x 30,000 needs 2.7 GB as RGB
MAX_BYTES = 64 << 20

# JPEG markers, the byte after 0xFF. Source: ITU-T T.81, table B.1.
FILL, STUFFED, EOI, SOS, RST = 0xFF, 0x00, 0xD9, 0xDA, range(0xD0, 0xD8)

# What Pillow and the codecs below it raise on hostile bytes; its own test files produce each.
DECODER_FAULTS = (
    OSError, ValueError, SyntaxError, TypeError, LookupError, AttributeError, ArithmeticError,
    EOFError, RuntimeError, MemoryError, struct.error, zlib.error, Warning,
    Image.DecompressionBombError,
)  # fmt: skip


class Undecodable(ValueError):  # noqa: N818  a fact about a sample, not a fault of ours
    """These bytes are no picture we may decode; the message is the reason, for the measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A decoded picture.

    `image` is RGB, turned as EXIF says, transparent parts on white, longest side at most the
    limit asked for. `width_px` and `height_px` are those of the file. `pixels_sha256` is over the
    decoded pixels before transparency is flattened, '' where not asked for. `trailing_bytes` counts
    bytes after the picture's end (a polyglot has some).
    """

    image: Image.Image
    width_px: int
    height_px: int
    format: str
    mode: str
    frames: int
    trailing_bytes: int
    pixels_sha256: str
    exif: bytes
    xmp: bytes
    text: tuple[tuple[str, str], ...]


def decode(data: bytes, *, longest_px: int | None = None, hash_pixels: bool = True) -> Picture:
    """Decode one picture once.

    Args:
        data: the encoded bytes of one picture.
        longest_px: shrink so that the longest side is at most this; None keeps the size.
        hash_pixels: digest the decoded pixels, which can take a fifth as long as decoding.

    Raises:
        Undecodable: not a picture, truncated, of a format or size that is not allowed.
    """
    if not data:
        raise Undecodable("no image bytes")
    if len(data) > MAX_BYTES:
        raise Undecodable(f"{len(data)} bytes; at most {MAX_BYTES} are decoded")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # broken EXIF only warns; it is read as absent
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                return _decoded(opened, data, longest_px, hash_pixels=hash_pixels)
    except Undecodable:
        raise
    except DECODER_FAULTS as fault:
        kind = type(fault).__name__
        raise Undecodable(f"{kind}: {_without_address(str(fault))}"[:200]) from None


def _decoded(
    opened: Image.Image, data: bytes, longest_px: int | None, *, hash_pixels: bool
) -> Picture:
    width_px, height_px = opened.size
    if width_px * height_px > MAX_PIXELS:
        raise Undecodable(f"{width_px} x {height_px} pixels; at most {MAX_PIXELS} are decoded")
    form, mode = opened.format or "", opened.mode
    if longest_px is not None and mode in {"RGB", "L"}:
        opened.draft(mode, (longest_px, longest_px))
    opened.load()
    turned = opened.getexif().get(ExifTags.Base.Orientation, 1) != 1
    image = _eight_bit(ImageOps.exif_transpose(opened) if turned else opened)
    head = f"{width_px}x{height_px} {image.mode}".encode()
    pixels = sha256(head + image.tobytes()) if hash_pixels else ""
    image = _flattened(image)
    if longest_px is not None and max(image.size) > longest_px:
        image.thumbnail((longest_px, longest_px), Image.Resampling.BOX)  # the mean over areas
    xmp = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp") or b""
    return Picture(
        image=image,
        width_px=width_px,
        height_px=height_px,
        format=form,
        mode=mode,
        frames=getattr(opened, "n_frames", 1),
        trailing_bytes=trailing_bytes(data, form),
        pixels_sha256=pixels,
        exif=opened.info.get("exif", b""),
        xmp=xmp.encode() if isinstance(xmp, str) else xmp,
        text=tuple(sorted((str(k), str(v)) for k, v in getattr(opened, "text", {}).items())),
    )


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return the picture as RGB, or RGBA where something is transparent."""
    if image.mode.startswith("I;16"):
        image = image.convert("I")
    if image.mode == "I":  # 16-bit grey: a plain convert would clip it to white
        image = image.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.mode == "F":
        image = image.point(lambda value: value * 1.0 + 0.0).convert("L")
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    see_through = image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info
    return image.convert("RGBA" if see_through else "RGB")


def _flattened(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def trailing_bytes(data: bytes, form: str) -> int:
    """Return how many bytes stand after the end of a PNG, JPEG or WebP; 0 for other formats."""
    end = {"PNG": _png_end, "JPEG": _jpeg_end, "WEBP": _webp_end}.get(form, len)(data)
    return max(0, len(data) - end)


def _png_end(data: bytes) -> int:
    """Walk the chunks to IEND. Source: PNG specification, section 5.3."""
    position = 8
    while position + 12 <= len(data):
        kind = data[position + 4 : position + 8]
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        if kind == b"IEND":
            return position
    return len(data)


def _webp_end(data: bytes) -> int:
    """Read the RIFF size, padded to even. Source: WebP container specification."""
    size = int.from_bytes(data[4:8], "little")
    return 8 + size + (size & 1)


def _jpeg_end(data: bytes) -> int:
    """Walk the segments to EOI, through entropy-coded data. Source: ITU-T T.81, annex B."""
    position = 2
    while position + 2 <= len(data):
        if data[position] != FILL:
            return len(data)
        marker = data[position + 1]
        if marker == EOI:
            return position + 2
        if marker == FILL:
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == SOS:
            position = _scan_end(data, position)
    return len(data)


def _scan_end(data: bytes, position: int) -> int:
    """Return where the next real marker stands: not a stuffed zero, not a restart."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            return len(data)
        if data[position + 1] != STUFFED and data[position + 1] not in RST:
            return position
        position += 2


def _without_address(text: str) -> str:
    """Return the message without Python object addresses: measures must be the same every time."""
    return text.split(" <_io.", maxsplit=1)[0].split(" at 0x", maxsplit=1)[0]
