import json

import pytest

from audits.places.boundary import Boundary, BoundaryTable, countries_of
from audits.places.positions import IMPLAUSIBLE
from governance.canon import sha256
from governance.errors import EvidenceMissing, Tampered, UsageError


def square(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


LAND = polygon(square(0, 0, 10, 10), square(4, 4, 6, 6))  # with a lake that is somebody else's

POINT = {"type": "Point", "coordinates": [50, 50]}


def named(folder, geometry=LAND, *, country="IN", name="a map", **more):
    text = geometry if isinstance(geometry, str) else json.dumps(geometry)
    (folder / f"{country}.geojson").write_text(text)
    return Boundary.of(
        BoundaryTable(name=name, country=country, path=f"{country}.geojson", **more), folder
    )


@pytest.mark.parametrize(
    ("position", "country"),
    [
        ((5.0, 2.0), "IN"), ((0.0, 5.0), "IN"), ((5.0, 5.0), "outside"), ((5.0, 11.0), "outside"),
        (IMPLAUSIBLE, IMPLAUSIBLE), (None, None),
    ],
    ids=["inside", "on the border", "in a hole", "outside", "nowhere", "no position"],
)  # fmt: skip
def test_a_position_lies_inside_a_boundary_or_outside(tmp_path, position, country):
    assert countries_of([position], [named(tmp_path)]) == [country]


@pytest.mark.parametrize(
    "geometry",
    [
        LAND,
        {"type": "Feature", "properties": {}, "geometry": LAND},
        {"type": "GeometryCollection", "geometries": [POINT, LAND]},
        {"type": "MultiPolygon", "coordinates": [LAND["coordinates"], [square(20, 0, 22, 2)]]},
        {
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "properties": {}, "geometry": LAND}],
        },
        {"type": "MultiPolygon", "coordinates": [LAND["coordinates"], [square(2, 0, 12, 3)]]},
    ],
    ids=["polygon", "feature", "collection", "islands", "features", "parts that overlap"],
)  # fmt: skip
def test_every_shape_of_geojson_is_read(tmp_path, geometry):
    assert countries_of([(5.0, 2.5), (50.0, 50.0)], [named(tmp_path, geometry)]) == [
        "IN",
        "outside",
    ]


def test_of_two_boundaries_that_both_hold_a_place_the_first_named_counts(tmp_path):
    ours = named(tmp_path, country="IN")
    theirs = named(tmp_path, polygon(square(8, 0, 20, 10)), country="NP")
    places = [(5.0, 9.0), (5.0, 15.0), (5.0, 30.0)]
    assert countries_of(places, [ours, theirs]) == ["IN", "NP", "outside"]
    assert countries_of(places, [theirs, ours]) == ["NP", "NP", "outside"]


def test_without_a_boundary_nothing_is_said():
    assert countries_of([(5.0, 5.0), IMPLAUSIBLE], []) == [None, None]


def test_a_boundary_is_told_by_name_and_digest_and_never_by_place(tmp_path):
    boundary = named(tmp_path, name="India (a map)")
    assert boundary.sha256 == sha256((tmp_path / "IN.geojson").read_bytes())
    assert boundary.sha256 in repr(boundary)
    assert str(tmp_path) not in repr(boundary)


@pytest.mark.parametrize(
    ("geometry", "problem"),
    [
        ("{", "no GeoJSON"),
        ('{"type": "Nonsense"}', "no GeoJSON"),
        (POINT, "no polygon"),
        ({"type": "FeatureCollection", "features": []}, "no polygon"),
    ],
    ids=["cut off", "another type", "a point", "empty"],
)
def test_a_file_that_bounds_nothing_is_refused(tmp_path, geometry, problem):
    with pytest.raises(UsageError, match=problem):
        named(tmp_path, geometry)


def test_a_file_that_is_not_the_one_named_is_refused(tmp_path):
    with pytest.raises(UsageError, match="take the file you meant"):
        named(tmp_path, sha256="0" * 64)
    with pytest.raises(EvidenceMissing, match="put it there"):
        Boundary.of(BoundaryTable(name="a map", country="IN", path="none.json"), tmp_path)


def test_a_file_altered_or_lost_after_it_was_named_is_noticed(tmp_path):
    boundary = named(tmp_path, polygon(square(1, 1, 2, 2)))
    elsewhere = Boundary(name="a map", country="IN", sha256="1" * 64, path=boundary.path)
    with pytest.raises(Tampered, match="altered"):
        elsewhere.holds([(1.0, 1.0)])
    lost = Boundary(name="a map", country="IN", sha256="1" * 64, path=tmp_path / "lost")
    with pytest.raises(EvidenceMissing, match="restore it"):
        lost.holds([(1.0, 1.0)])
