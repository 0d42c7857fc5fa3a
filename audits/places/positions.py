"""Where a picture says it was taken: the GPS block of EXIF, else of XMP. Read as hostile input.

A position is kept in memory only, for as long as it takes to ask which boundary it lies in. Does
not see: whether the camera's clock and receiver were right, or that somebody wrote another place.
"""

import math
import re
import warnings
from collections.abc import Mapping
from typing import Final, TypeAlias

from PIL import ExifTags, Image

from audits.rights.embedded import xmp_of
from governance.images import DECODER_FAULTS, Picture

Position: TypeAlias = tuple[float, float]  # latitude and longitude in degrees, north and east > 0
IMPLAUSIBLE: Final = "implausible"

# EXIF tags of the GPS block: an axis, and the tag of its hemisphere. Source: CIPA DC-008, table 15.
LATITUDE, LONGITUDE, HEMISPHERE = 2, 4, -1
GPS_IFD = ExifTags.IFD.GPSInfo
POINTERS = (GPS_IFD.to_bytes(2, "big"), GPS_IFD.to_bytes(2, "little"))
SIGNS = {"N": 1, "S": -1, "E": 1, "W": -1}
MOST = {LATITUDE: 90.0, LONGITUDE: 180.0}
SCALE = (1, 60, 3600)  # degrees, minutes, seconds
OF_AXIS = {LATITUDE: "NS", LONGITUDE: "EW"}
# '12,58.296N' or '12,58,17.76N'. Source: XMP specification part 2, GPSCoordinate.
XMP_FORM = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d{1,12})?)(?:,(\d{1,2}(?:\.\d{1,12})?))?([NSEW])")


def position_of(picture: Picture) -> Position | str | None:
    """Return where a picture says it was taken, `IMPLAUSIBLE` where that is nowhere, or None.

    Nowhere is: not a number, beyond the poles or the date line, without a hemisphere, or 0° N 0° E,
    which is what software writes that has no position.
    """
    found = _of_exif(picture.exif) or _of_xmp(picture)
    if found is None:
        return None
    latitude, longitude = found
    if math.isnan(latitude) or math.isnan(longitude) or latitude == longitude == 0.0:
        return IMPLAUSIBLE
    return latitude, longitude


def _of_exif(block: bytes) -> Position | None:
    """Return the two angles of the GPS block, NaN for one that is none; None without a block."""
    if not any(pointer in block for pointer in POINTERS):
        return None
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a broken block only warns; it is read as absent
            exif.load(block)
            said = exif.get_ifd(GPS_IFD)
    except DECODER_FAULTS:
        return None
    if LATITUDE not in said and LONGITUDE not in said:
        return None
    return _of_tags(said, LATITUDE), _of_tags(said, LONGITUDE)


def _of_tags(said: Mapping[int, object], axis: int) -> float:
    parts, side = said.get(axis), said.get(axis + HEMISPHERE)
    if not isinstance(parts, tuple) or len(parts) != len(SCALE) or not isinstance(side, str):
        return math.nan
    try:
        size = sum(float(part) / scale for part, scale in zip(parts, SCALE, strict=True))
    except DECODER_FAULTS:
        return math.nan
    return _angle(axis, size, side)


def _of_xmp(picture: Picture) -> Position | None:
    if b"GPSLatitude" not in picture.xmp:
        return None
    said = xmp_of(picture)
    latitude, longitude = (
        next(iter(said.get(f"exif:GPS{axis}", ())), "") for axis in ("Latitude", "Longitude")
    )
    return _of_text(LATITUDE, latitude), _of_text(LONGITUDE, longitude)


def _of_text(axis: int, text: str) -> float:
    found = XMP_FORM.fullmatch(text.strip())
    if found is None:
        return math.nan
    *parts, side = found.groups(default="0")
    size = sum(float(part) / scale for part, scale in zip(parts, SCALE, strict=True))
    return _angle(axis, size, side)


def _angle(axis: int, size: float, side: str) -> float:
    """Return a signed angle in degrees; NaN where it is too large or its hemisphere is not said."""
    letter = side.strip("\0 ").upper()
    if letter not in OF_AXIS[axis] or not letter or not 0 <= size <= MOST[axis]:
        return math.nan
    return SIGNS[letter] * size
