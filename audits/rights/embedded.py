"""What a picture file says of itself: XMP and EXIF, read as hostile input.

Does not see: C2PA manifests (`audits.rights.c2pa_manifest`), IPTC-IIM blocks
(`audits.rights.segments`), maker notes, or anything that stands beside the file. What cannot be
parsed is read as absent.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from PIL import Image

from audits.rights.segments import Segments, extended_xmp
from governance.images import DECODER_FAULTS, Picture

MAX_XMP_BYTES = 1 << 20
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
NAMESPACES = MappingProxyType({
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://creativecommons.org/ns#": "cc",
    "http://web.resource.org/cc/": "cc",
    "http://ns.useplus.org/ldf/xmp/1.0/": "plus",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://www.metadataworkinggroup.com/schemas/regions/": "mwg-rs",
    "http://ns.microsoft.com/photo/1.2/t/Region#": "MPReg",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/xmp/note/": "xmpNote",
    "http://www.w3.org/ns/tdmrep/": "tdm",
})  # fmt: skip
Xmp = Mapping[str, tuple[str, ...]]

# EXIF tags. Source: CIPA DC-008 (Exif 2.32), tables 4, 7, 8 and 15.
DESCRIPTION, SOFTWARE, ARTIST, COPYRIGHT, EXIF_IFD, GPS_IFD = (
    0x010E,
    0x0131,
    0x013B,
    0x8298,
    0x8769,
    0x8825,
)
USER_COMMENT, CAMERA_OWNER, BODY_SERIAL, LENS_SERIAL = 0x9286, 0xA430, 0xA431, 0xA435
GPS_LATITUDE, GPS_LONGITUDE = 2, 4
COMMENT_CODE_BYTES = 8  # a user comment begins with the name of its character code


@dataclass(frozen=True, slots=True)
class Exif:
    """The EXIF text tags of a file, and whether it says where it was taken."""

    text: Mapping[int, str]
    has_position: bool


NO_EXIF = Exif(MappingProxyType({}), has_position=False)


def xmp_of(picture: Picture, segments: Segments = ()) -> Xmp:
    """Return the XMP properties we know, as `prefix:name`, with all their values.

    Args:
        picture: whose packet is read.
        segments: those of the file, where it is a JPEG: the rest of a long packet stands there.
    """
    said = xmp_in(picture.xmp)
    for guid in said.get("xmpNote:HasExtendedXMP", ()) if segments else ():
        said = together(said, xmp_in(extended_xmp(segments, guid)))
    return said


@lru_cache(maxsize=32)  # several audits read one batch
def xmp_in(packet: bytes) -> Xmp:
    """Return the properties of a packet."""
    root = _parsed(packet)
    found: dict[str, tuple[str, ...]] = {}
    for name, value in () if root is None else _properties(root):
        if value.strip() and value.strip() not in found.get(name, ()):
            found[name] = (*found.get(name, ()), value.strip())
    return MappingProxyType(found)


def together(*said: Xmp) -> Xmp:
    """Return properties from several places as one, without repeats."""
    names = dict.fromkeys(name for one in said for name in one)
    return {
        name: tuple(dict.fromkeys(value for one in said for value in one.get(name, ())))
        for name in names
    }


def exif_of(picture: Picture) -> Exif:
    """Return what the EXIF block says."""
    return _exif(picture.exif) if picture.exif else NO_EXIF


@lru_cache(maxsize=32)  # several audits read one batch
def _exif(block: bytes) -> Exif:
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a broken block only warns; it is read as absent
            exif.load(block)
            tags = {**exif, **exif.get_ifd(EXIF_IFD)}
            position = exif.get_ifd(GPS_IFD)
    except DECODER_FAULTS:
        return NO_EXIF
    said = {int(tag): _as_text(int(tag), value) for tag, value in tags.items()}
    placed = all(_is_angle(position.get(tag)) for tag in (GPS_LATITUDE, GPS_LONGITUDE))
    return Exif({tag: text for tag, text in said.items() if text}, has_position=placed)


def _parsed(packet: bytes) -> Element | None:
    if not packet or len(packet) > MAX_XMP_BYTES:
        return None
    try:
        root: Element = ElementTree.fromstring(packet.strip(b"\0 \t\r\n"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return root


def _properties(root: Element) -> Iterator[tuple[str, str]]:
    """Yield properties, whether they are written as elements, lists, links or attributes."""
    for element in root.iter():
        for key, value in element.items():
            if name := _name(key):
                yield name, value
        if name := _name(element.tag):
            for part in element.iter():
                yield name, part.get(f"{RDF}resource", "")
                yield name, part.text or ""


def _name(tag: object) -> str:
    """Return `prefix:local` of a tag in a namespace we know, else ''."""
    if not isinstance(tag, str) or not tag.startswith("{"):
        return ""
    space, _, local = tag[1:].partition("}")
    return f"{NAMESPACES[space]}:{local}" if space in NAMESPACES else ""


def _as_text(tag: int, value: object) -> str:
    if isinstance(value, bytes):
        body = value[COMMENT_CODE_BYTES:] if tag == USER_COMMENT else value
        code = "utf-16" if tag == USER_COMMENT and value.startswith(b"UNICODE") else "utf-8"
        value = body.decode(code, "ignore")
    return value.strip("\0 \t\r\n") if isinstance(value, str) else ""


def _is_angle(value: object) -> bool:
    """Say whether an EXIF value is degrees, minutes and seconds."""
    return isinstance(value, tuple) and len(value) == 3  # noqa: PLR2004
