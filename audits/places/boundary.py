"""Named boundaries: which country's boundary, in a file of the operator's choice, holds a position.

No boundary comes with the program: where a border runs is disputed in places, and whose map counts
is the operator's choice, told by name and digest. Does not see: what the file leaves out, such as
an islet or a strip of coast lost to rounding.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import StringConstraints

from audits.places.positions import IMPLAUSIBLE, Position
from audits.settings import Hex, Label, Written, place_of
from governance.canon import sha256
from governance.errors import EvidenceMissing, Tampered, UsageError

if TYPE_CHECKING:
    import shapely

OUTSIDE: Final = "outside"
MAX_BYTES: Final = 256 << 20
Code = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]  # ISO 3166-1 alpha-2


class BoundaryTable(Written):
    """An entry of `boundaries`: `sha256` may be left out, and is then taken of the file."""

    name: Label
    country: Code
    path: str
    sha256: Hex | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """A boundary: whose it is by name, its country, and the bytes of its GeoJSON (RFC 7946)."""

    name: str
    country: str
    sha256: str
    path: Path = field(repr=False)

    @classmethod
    def of(cls, told: BoundaryTable, folder: Path) -> Self:
        """Return a boundary the operator names, once its file was read.

        Raises:
            EvidenceMissing: there is no such file.
            UsageError: it is too large, has another digest than is told, or holds no polygon.
        """
        path = place_of(told.path, folder, f"boundary {told.name!r}")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(
                f"The boundary {told.name!r} has {path.stat().st_size >> 20} MB; at most "
                f"{MAX_BYTES >> 20} are read. Take a simplified one."
            )
        found = sha256(path.read_bytes())
        if told.sha256 not in {None, found}:
            raise UsageError(
                f"The boundary {told.name!r} has sha256 {found}, and pramana.toml says another; "
                "take the file you meant, or mend `sha256`."
            )
        _polygons(path, found)
        return cls(name=told.name, country=told.country, sha256=found, path=path)

    def holds(self, positions: Sequence[Position]) -> npt.NDArray[np.bool_]:
        """Return which positions lie inside or on the border.

        Raises:
            Tampered: the file is not the one that was named.
            EvidenceMissing: it is gone.
        """
        import shapely  # noqa: PLC0415  heavy

        points = shapely.points([(longitude, latitude) for latitude, longitude in positions])
        inside = np.zeros(len(positions), dtype=np.bool_)
        inside[_polygons(self.path, self.sha256).query(points, predicate="intersects")[0]] = True
        return inside


def countries_of(
    found: Sequence[Position | str | None], boundaries: Sequence[Boundary]
) -> list[str | None]:
    """Return the country of each position: the first boundary that holds it, in the order given.

    `OUTSIDE` where none does, `IMPLAUSIBLE` where the position is nowhere, None where there is no
    position or no boundary to hold it against. What `Boundary.holds` raises passes.
    """
    said: list[str | None] = [None] * len(found)
    if not boundaries:
        return said
    places, positions = [], []
    for place, position in enumerate(found):
        if isinstance(position, str):
            said[place] = IMPLAUSIBLE
        elif position is not None:
            said[place] = OUTSIDE
            places.append(place)
            positions.append(position)
    for boundary in reversed(boundaries) if places else ():
        for place, inside in zip(places, boundary.holds(positions), strict=True):
            said[place] = boundary.country if inside else said[place]
    return said


@functools.cache
def _polygons(path: Path, digest: str) -> "shapely.STRtree":
    """Return the polygons of a file, searchable; each apart, for a union may be invalid."""
    import shapely  # noqa: PLC0415  heavy

    try:
        data = path.read_bytes()
    except OSError:
        raise EvidenceMissing("A boundary file is gone since it was named; restore it.") from None
    if sha256(data) != digest:
        raise Tampered(f"A boundary file was altered: its sha256 is no longer {digest[:12]}.")
    try:
        parts = np.atleast_1d(np.asarray(shapely.from_geojson(data), dtype=object))
    except (shapely.errors.GEOSException, UnicodeDecodeError, ValueError):
        raise UsageError("A boundary file is no GeoJSON; give polygons (RFC 7946).") from None
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts = shapely.get_parts(parts)
    polygons = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    if not len(polygons):
        raise UsageError("A boundary file holds no polygon; give the area, not a line or a point.")
    shapely.prepare(polygons)
    return shapely.STRtree(polygons)
