import io

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from audits.places.positions import IMPLAUSIBLE, position_of
from governance.images import decode

GPS = ExifTags.IFD.GPSInfo
HERE = {1: "N", 2: (12.0, 58.0, 17.76), 3: "E", 4: (77.0, 35.0, 40.56)}
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:exif="http://ns.adobe.com/exif/1.0/" {}/></rdf:RDF></x:xmpmeta>"""


def taken(gps=None, *, xmp="", form="JPEG"):
    exif = Image.Exif()
    if gps is not None:
        exif[GPS] = gps
    stream = io.BytesIO()
    more = {"xmp": XMP.format(xmp).encode()} if xmp else {}
    Image.new("RGB", (4, 4)).save(stream, form, exif=exif, **more)
    return decode(stream.getvalue())


def where(text):
    axes = zip(("Latitude", "Longitude"), text.split(";"), strict=True)
    return " ".join(f'exif:GPS{axis}="{said}"' for axis, said in axes)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_position_is_read_from_the_gps_block(form):
    assert position_of(taken(HERE, form=form)) == pytest.approx((12.9716, 77.5946), abs=1e-9)


def test_south_and_west_are_negative():
    south_west = {**HERE, 1: "S", 3: "w\0"}
    assert position_of(taken(south_west)) == pytest.approx((-12.9716, -77.5946), abs=1e-9)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("12,58.296N;77,35.676E", (12.9716, 77.5946)),
        ("12,58,17N;77,35,40E", (12.971388, 77.594444)),
        ("12,58.296S;77,35.676W", (-12.9716, -77.5946)),
    ],
    ids=["minutes", "seconds", "south and west"],
)
def test_a_position_is_read_from_xmp_where_exif_has_none(text, position):
    assert position_of(taken(xmp=where(text))) == pytest.approx(position, abs=1e-6)
    assert position_of(taken(HERE, xmp=where("1,0N;1,0E")))[0] == pytest.approx(12.9716)


@pytest.mark.parametrize(
    "gps",
    [
        {1: "N", 2: (95.0, 0.0, 0.0), 3: "E", 4: (77.0, 0.0, 0.0)},
        {1: "N", 2: (12.0, 0.0, 0.0), 3: "E", 4: (181.0, 0.0, 0.0)},
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {2: (12.0, 0.0, 0.0), 4: (77.0, 0.0, 0.0)},
        {1: "E", 2: (12.0, 0.0, 0.0), 3: "N", 4: (77.0, 0.0, 0.0)},
        {1: "", 2: (12.0, 0.0, 0.0), 3: "NS", 4: (77.0, 0.0, 0.0)},
        {1: "N", 2: (12.0, 0.0, 0.0)},
        {1: "N", 2: (12.0, 0.0), 3: "E", 4: (77.0, 0.0, 0.0)},
        {1: "N", 2: (12.0, IFDRational(1, 0), 0.0), 3: "E", 4: (77.0, 0.0, 0.0)},
    ],
    ids=[
        "beyond the pole", "beyond the date line", "null island", "no hemisphere", "swapped",
        "odd hemisphere", "latitude alone", "two parts", "not a number",
    ],
)  # fmt: skip
def test_a_position_that_is_nowhere_is_implausible(gps):
    assert position_of(taken(gps)) == IMPLAUSIBLE


@pytest.mark.parametrize("text", ["north;east", "12,58.296;77,35.676", "99,0N;77,0E", ";"])
def test_xmp_that_names_no_place_is_implausible(text):
    assert position_of(taken(xmp=where(text))) == IMPLAUSIBLE


@pytest.mark.parametrize("gps", [None, {}, {29: "2026:11:23"}], ids=["none", "empty", "a date"])
def test_without_a_position_there_is_none(gps):
    assert position_of(taken(gps)) is None


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("exiftool-Apple.jpg", (53.38, -1.46)),
        ("exiftool-Google.jpg", (40.40, -3.71)),
        ("pillow-exif_gps.jpg", IMPLAUSIBLE),
        ("pillow-exif_gps_typeerror.jpg", None),
        ("pillow-empty_gps_ifd.jpg", None),
        ("pillow-flower.jpg", None),
    ],
)
def test_what_cameras_and_broken_files_say(shared, file, expected):
    found = position_of(decode((shared / "metadata" / "exif" / file).read_bytes()))
    if isinstance(expected, tuple):
        expected = pytest.approx(expected, abs=0.01)
    assert found == expected
