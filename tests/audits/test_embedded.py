import io

import pytest
from PIL import Image

from audits.rights.embedded import ARTIST, USER_COMMENT, exif_of, xmp_of
from governance.images import decode

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
SPACES = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:cc="http://creativecommons.org/ns#" '
    'xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"'
)


def picture(xmp=b"", exif=None, form="JPEG"):
    stream = io.BytesIO()
    options = {"exif": exif} if exif is not None else {}
    Image.new("RGB", (8, 8)).save(stream, form, xmp=xmp, **options)
    return decode(stream.getvalue())


def packet(body):
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}>{body}</rdf:RDF></x:xmpmeta>'.encode()
    )


@pytest.mark.parametrize(
    "body",
    [
        """<rdf:Description {}><dc:rights><rdf:Alt><rdf:li>mine</rdf:li></rdf:Alt></dc:rights>
        <cc:license rdf:resource="http://example.org/l"/></rdf:Description>""",
        '<rdf:Description {} dc:rights="mine" cc:license="http://example.org/l"/>',
        """<rdf:Description {}><dc:rights>mine</dc:rights>
        <cc:license>http://example.org/l</cc:license></rdf:Description>""",
    ],
    ids=["lists and links", "attributes", "plain elements"],
)
def test_every_way_of_writing_a_property_is_read(body):
    found = xmp_of(picture(packet(body.format(SPACES))))
    assert found == {"dc:rights": ("mine",), "cc:license": ("http://example.org/l",)}


@pytest.mark.parametrize(
    "xmp",
    [
        b"",
        b"not XML",
        b"\xff\xfe\x00",
        packet("<rdf:Description>" * 3000),
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;">]><a>&z;</a>',
        b'<?xml version="1.0" encoding="no-such-code"?><a/>',
    ],
    ids=["none", "no XML", "bytes", "unclosed", "external entity", "entities", "encoding"],
)
def test_hostile_xmp_is_read_as_absent(xmp):
    assert xmp_of(picture(xmp)) == {}


def exif_with(**parts):
    exif = Image.Exif()
    exif[ARTIST] = "Asha Example"
    exif.get_ifd(0x8769)[USER_COMMENT] = b"ASCII\0\0\0call me"
    exif.get_ifd(0x8825).update(parts.get("gps", {}))
    return exif


PLACE = {1: "N", 2: (12.0, 58.0, 17.8), 3: "E", 4: (77.0, 35.0, 40.6)}


@pytest.mark.parametrize(
    ("gps", "placed"),
    [(PLACE, True), ({}, False), ({2: PLACE[2]}, False), ({2: 4.0, 4: 5.0}, False)],
    ids=["position", "none", "latitude only", "no angles"],
)
def test_a_position_is_noticed_and_not_kept(gps, placed):
    found = exif_of(picture(exif=exif_with(gps=gps)))
    assert found.has_position is placed
    assert found.text == {ARTIST: "Asha Example", USER_COMMENT: "call me"}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_is_read_from_every_format_that_has_it(form):
    assert exif_of(picture(exif=exif_with(gps=PLACE), form=form)).has_position


@pytest.mark.parametrize(
    "data", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0" + b"\xff" * 40]
)
def test_broken_exif_is_read_as_absent(data):
    found = exif_of(picture(exif=data))
    assert not found.has_position
