import io

import pytest
from PIL import Image, IptcImagePlugin

from audits.rights.embedded import xmp_of
from audits.rights.segments import EXTENSION, extended_xmp, iptc_of, segments_of
from governance.images import decode

GUID = "0123456789ABCDEF0123456789ABCDEF"


def jpeg(*segments):
    """A picture with segments of ours before its own."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    made = (b"\xff" + bytes([m]) + (len(b) + 2).to_bytes(2, "big") + b for m, b in segments)
    return b"\xff\xd8" + b"".join(made) + stream.getvalue()[2:]


def dataset(record, number, value):
    return bytes([0x1C, record, number]) + len(value).to_bytes(2, "big") + value


def photoshop(block, name=b""):
    padded = bytes([len(name)]) + name + b"\0" * (1 - len(name) % 2)
    head = b"Photoshop 3.0\x008BIM\x04\x04" + padded
    return 0xED, head + len(block).to_bytes(4, "big") + block


def extension(offset, part, whole, guid=GUID):
    numbers = whole.to_bytes(4, "big") + offset.to_bytes(4, "big")
    return 0xE1, EXTENSION + guid.encode() + numbers + part


BLOCK = (
    dataset(2, 80, b"Asha Example") + dataset(2, 80, b"Second Example")
    + dataset(2, 110, b"Example Press") + dataset(2, 116, b"(c) 2024 Example Press")
    + dataset(2, 120, b"a caption")
)  # fmt: skip


@pytest.mark.parametrize("name", [b"", b"x", b"xy"])
def test_iptc_is_read_as_pillow_reads_it(name):
    data = jpeg(photoshop(BLOCK, name))
    found = iptc_of(segments_of(data))
    assert found == {
        "iptc:By-line": ("Asha Example", "Second Example"),
        "iptc:Credit": ("Example Press",),
        "iptc:CopyrightNotice": ("(c) 2024 Example Press",),
    }
    with Image.open(io.BytesIO(data)) as picture:
        told = IptcImagePlugin.getiptcinfo(picture)
    assert told[2, 116] == b"(c) 2024 Example Press"
    assert told[2, 80] == [b"Asha Example", b"Second Example"]


@pytest.mark.parametrize(
    ("value", "declared", "text"),
    [
        ("© अशा".encode(), b"\x1b%G", "© अशा"),
        ("© अशा".encode(), b"", "© अशा"),
        ("© Müller".encode("latin-1"), b"", "© Müller"),
        (b"\xff\xfe bad", b"\x1b%G", "�� bad"),
        (b"\0 \n", b"", None),
    ],
    ids=["declared UTF-8", "undeclared UTF-8", "Latin-1", "declared and wrong", "nothing"],
)
def test_iptc_text_is_decoded_as_declared_and_never_fails(value, declared, text):
    block = (dataset(1, 90, declared) if declared else b"") + dataset(2, 116, value)
    found = iptc_of(segments_of(jpeg(photoshop(block))))
    assert found == ({"iptc:CopyrightNotice": (text,)} if text else {})


def test_a_notice_cut_over_two_segments_is_read():
    _, body = photoshop(BLOCK)
    rest = b"Photoshop 3.0\0" + body[60:]
    assert iptc_of(segments_of(jpeg((0xED, body[:60]), (0xED, rest))))["iptc:CopyrightNotice"]


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" {}/></rdf:RDF></x:xmpmeta>'
)
LONG = XMP.format('dc:rights="All rights reserved"').encode()
MAIN = 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP.format(
    f'xmpNote:HasExtendedXMP="{GUID}" dc:creator="Asha"'
).encode()  # fmt: skip


def test_extended_xmp_is_put_together_by_offset_and_joined_to_the_rest():
    whole = len(LONG)
    data = jpeg(MAIN, extension(90, LONG[90:], whole), extension(0, LONG[:90], whole))
    found = xmp_of(decode(data), segments_of(data))
    assert found["dc:rights"] == ("All rights reserved",)
    assert found["dc:creator"] == ("Asha",)


@pytest.mark.parametrize(
    "parts",
    [
        [], [extension(0, LONG[:90], len(LONG))], [extension(0, LONG, len(LONG), guid=GUID[::-1])],
        [extension(0, LONG, 1 << 31)], [extension(0, LONG + b"x", len(LONG))],
    ],
    ids=["absent", "half", "another's", "a lie about its length", "too long"],
)  # fmt: skip
def test_extended_xmp_that_is_not_whole_is_read_as_absent(parts):
    data = jpeg(MAIN, *parts)
    assert extended_xmp(segments_of(data), GUID) == b""
    assert "dc:rights" not in xmp_of(decode(data), segments_of(data))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xed", b"\xff\xd8\xff\xed\0\0",
        b"\xff\xd8\xff\xed\0\1", b"\xff\xd8\xff\xed\xff\xff", b"\xff\xd8" + b"\xff" * 9000,
        b"\x89PNG", jpeg(photoshop(b"")), jpeg(photoshop(BLOCK[:7])),
        jpeg(photoshop(b"\x1c\2\x74\xff\xff" + b"x" * 40)),
        jpeg((0xED, b"Photoshop 3.0\x008BIM\4")),
    ],
)  # fmt: skip
def test_hostile_segments_are_read_as_absent(data):
    assert iptc_of(segments_of(data)) == {}
