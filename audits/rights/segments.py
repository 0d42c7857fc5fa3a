"""What a JPEG says of itself in segments that Pillow hands on in part: extended XMP and IPTC-IIM.

Does not see: these of other formats (of a PNG only whether it has a chunk), and what stands after
the first scan.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

Segments = tuple[tuple[int, bytes], ...]  # marker and content

SOI, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
FILL, SOS, EOI, APP1, APP11, APP13 = 0xFF, 0xDA, 0xD9, 0xE1, 0xEB, 0xED
MAX_SEGMENTS = 2000
MAX_EXTENDED_BYTES = 1 << 20
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
GUID_BYTES, NUMBER_BYTES = 32, 4
PHOTOSHOP, RESOURCE, IPTC_BLOCK = b"Photoshop 3.0\0", b"8BIM", 0x0404
TAG_MARKER, EXTENDED_DATASET, UTF_8 = 0x1C, 0x8000, b"\x1b%G"

# Datasets by record and number. Source: IPTC-IIM 4.2, chapters 5 and 6.
CODED_CHARACTERS = (1, 90)
IPTC_NAMES = MappingProxyType({
    (2, 40): "iptc:SpecialInstructions", (2, 80): "iptc:By-line", (2, 110): "iptc:Credit",
    (2, 115): "iptc:Source", (2, 116): "iptc:CopyrightNotice",
})  # fmt: skip


def segments_of(data: bytes) -> Segments:
    """Return marker and content of the segments before the first scan; none of another format.

    Reading ends at the first that is not as it should be. Source: ITU-T T.81, annex B.
    """
    return tuple(_segments(data))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    if not data.startswith(SOI):
        return
    at = len(SOI)
    for _ in range(MAX_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 4 > len(data) or data[at] != FILL or data[at + 1] in {SOS, EOI}:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):  # noqa: PLR2004  the length counts itself
            return
        yield data[at + 1], data[at + 4 : at + 2 + length]
        at += 2 + length


def has_chunk(data: bytes, kind: bytes) -> bool:
    """Say whether a PNG has a chunk of a kind. Source: PNG specification, section 5.3."""
    at = len(PNG)
    while at + 8 <= len(data):
        if data[at + 4 : at + 8] == kind:
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def extended_xmp(segments: Segments, guid: str) -> bytes:
    """Return the extended XMP packet of a GUID, b'' where it is not there whole.

    Source: XMP specification part 3, section 1.1.3.1.
    """
    parts: dict[int, bytes] = {}
    whole = 0
    start = len(EXTENSION) + GUID_BYTES
    for marker, body in segments:
        if marker == APP1 and body.startswith(EXTENSION + guid.encode("ascii", "replace")):
            whole = int.from_bytes(body[start : start + NUMBER_BYTES], "big")
            offset = int.from_bytes(body[start + NUMBER_BYTES : start + 2 * NUMBER_BYTES], "big")
            parts[offset] = body[start + 2 * NUMBER_BYTES :]
    packet = b"".join(parts[offset] for offset in sorted(parts))
    return packet if len(packet) == whole <= MAX_EXTENDED_BYTES else b""


def iptc_of(segments: Segments) -> Mapping[str, tuple[str, ...]]:
    """Return the IPTC-IIM datasets we know, by name, with all their values."""
    blocks = [
        body[len(PHOTOSHOP) :]
        for marker, body in segments
        if marker == APP13 and body.startswith(PHOTOSHOP)
    ]
    found: dict[str, tuple[str, ...]] = {}
    utf_8 = False
    for key, value in _datasets(_resource(b"".join(blocks))) if blocks else ():
        utf_8 |= key == CODED_CHARACTERS and value == UTF_8
        name, text = IPTC_NAMES.get(key, ""), _as_text(value, utf_8=utf_8)
        if name and text and text not in found.get(name, ()):
            found[name] = (*found.get(name, ()), text)
    return found


def _resource(block: bytes) -> bytes:
    """Return the IPTC resource of a Photoshop block. Source: Photoshop file formats, resources."""
    at = 0
    while block[at : at + 4] == RESOURCE and at + 12 <= len(block):
        name_end = at + 7 + block[at + 6]
        name_end += (name_end - at) % 2  # the name is padded to even
        size = int.from_bytes(block[name_end : name_end + 4], "big")
        if int.from_bytes(block[at + 4 : at + 6], "big") == IPTC_BLOCK:
            return block[name_end + 4 : name_end + 4 + size]
        at = name_end + 4 + size + size % 2
    return b""


def _datasets(block: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield record, number and value of each dataset. Source: IPTC-IIM 4.2, section 1.6."""
    at = 0
    while block[at : at + 1] == bytes([TAG_MARKER]) and at + 5 <= len(block):
        size = int.from_bytes(block[at + 3 : at + 5], "big")
        if size & EXTENDED_DATASET or at + 5 + size > len(block):
            return  # longer than 32 kB, which no notice is, or cut off
        yield (block[at + 1], block[at + 2]), block[at + 5 : at + 5 + size]
        at += 5 + size


def _as_text(value: bytes, *, utf_8: bool) -> str:
    """Decode as declared; undeclared bytes are UTF-8 where they can be, else Latin-1."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("utf-8", "replace") if utf_8 else value.decode("latin-1")
    return text.strip("\0 \t\r\n")
