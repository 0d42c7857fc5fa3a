"""What the licence audit reads, held to answers that are derived here in another, simpler way.

    python benchmarks/licence_answers.py
    python benchmarks/licence_answers.py ../shared/data

Licences are compared as code, version and port; an address that leads to no licence has to stay
unread. Files are held to the answers beside them. Exit status 5 where the data is not there.

Does not see: whether an answer is the law. An address names a licence; who granted it is not told.
"""

import csv
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from audits.audit import Batch
from audits.licence import LicenceAudit
from audits.rights.claims import record_claims
from audits.rights.embedded import xmp_in
from audits.rights.hosts import AI_CRAWLERS, AI_TXT, ROBOTS, TDMREP, optouts_in
from audits.rights.segments import extended_xmp, segments_of
from audits.rights.spdx import read_claim, without_vaguer
from governance.images import Picture, Undecodable, decode
from governance.snapshot import MANIFEST

DATA = Path(__file__).parents[2] / "shared" / "data"
LIBRARIES = ("license-expression", "c2pa-python", "protego", "pillow")
ELEMENTS = frozenset({"by", "nc", "nd", "sa"})
OTHER_WORDS = frozenset({"sampling", "plus", "devnations", "gpl", "lgpl", "bsd"})


class Licence(NamedTuple):
    """A Creative Commons licence as its address spells it; '' where nothing is said."""

    code: frozenset[str]
    version: str
    port: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: how many of how many are as their answer says."""

    what: str
    right: int
    of: int
    note: str = ""


def answers(data: Path) -> Iterator[Row]:
    """Yield all lines of the table."""
    yield from deeds(data / "licences")
    yield from wild_addresses(data / "licences")
    yield from records(data / "licences")
    yield from pictures(data / "metadata")
    yield from hosts(data / "optout")
    yield mutant(data / "emoji")


def deeds(folder: Path) -> Iterator[Row]:
    """Read each of the deeds by its address and by its titles."""
    rows = _rows(folder / "cc_licenses.csv")
    read = {row["uri"]: _one(read_claim(row["uri"]).ids) for row in rows}
    right = sum(_licence(read[row["uri"]]) == _in_address(row["uri"]) for row in rows)
    yield Row("deeds by address, as code, version and port", right, len(rows))
    named = [row for row in rows if row["spdx_id"]]
    right = sum(read[row["uri"]] == row["spdx_id"] for row in named)
    yield Row("deeds that SPDX has, by its very id", right, len(named))
    ported = [row for row in rows if row["jurisdiction"]]
    right = sum(bool(_licence(read[row["uri"]]).port) for row in ported)
    yield Row("deeds of a jurisdiction that keep it", right, len(ported))
    for title, language in (("title_en", "English"), ("title_hi", "Hindi")):
        told = [row for row in rows if row[title]]
        same = sum(_one(read_claim(row[title]).ids) == read[row["uri"]] for row in told)
        note = "the others' titles lack version or port, or name another one's"
        if title == "title_hi":
            unknown = sum("unknown-port" in _one(read_claim(row[title]).ids) for row in told)
            note = f"of the others {unknown} keep a port that is read as unknown"
        yield Row(f"deeds by {language} title", same, len(told), note)


def wild_addresses(folder: Path) -> Iterator[Row]:
    """Read each address found in the wild, whether it leads to a licence or not."""
    rows = [row["host"] + row["path"] for row in _rows(folder / "cc_urls_in_the_wild.csv")]
    found = [(read_claim(f"http://{a}"), SENTENCES.get(a, _in_address(a))) for a in rows]
    led = [(reading.ids, licence) for reading, licence in found if licence]
    right = sum(_licence(_one(ids)) == licence for ids, licence in led)
    yield Row("addresses in the wild that name a licence", right, len(led))
    silent = [reading for reading, licence in found if not licence]
    right = sum(reading.unread and not reading.ids for reading in silent)
    yield Row("addresses in the wild that name none, unread", right, len(silent))


def records(folder: Path) -> Iterator[Row]:
    """Read rows of Openverse, COCO and the Data Provenance Initiative."""
    rows = pq.read_table(folder / "openverse_samples.parquet").to_pylist()
    right = sum(
        _licence(_one(read_claim(row["license"], row["license_version"]).ids))
        == _in_row(row["license"], row["license_version"])
        for row in rows
    )
    yield Row("Openverse rows", right, len(rows))
    rows = pq.read_table(folder / "coco_val2017_captions.parquet").to_pylist()
    addresses = [_in_address(row["license_url"]) for row in rows]
    for what, columns in (
        ("COCO rows by name and address", ("license_name", "license_url")),
        ("COCO rows by number alone", ("license_id",)),
    ):
        read = [_record_ids(row, columns) for row in rows]
        right = sum(
            _licence(_one(ids)) == address if address else len(ids) == 1
            for ids, address in zip(read, addresses, strict=True)
        )
        yield Row(what, right, len(rows), f"{sum(a is None for a in addresses)} have no CC address")
    rows = pq.read_table(folder / "dpi_dataset_licences.parquet").to_pylist()
    names = [entry["license"] for row in rows for entry in row["licenses"]]
    spoken = [name for name in names if name not in {"Unspecified", "No License"}]
    kinds = {name for name in spoken if read_claim(name).unread}
    right = sum(bool(read_claim(name).ids) for name in spoken)
    note = "the others name none: " + ", ".join(sorted(kinds, key=len)[:3])
    yield Row("licences of data sets (DPI)", right, len(spoken), note)


def pictures(folder: Path) -> Iterator[Row]:
    """Read each file of the metadata folder as its tables say."""
    planted = _rows(folder / "planted.csv")
    right = sum(_as_planted(row, _measured(folder / row["file"])) for row in planted)
    yield Row("planted rights and opt-outs in files", right, len(planted))
    real = _rows(folder / "files.csv")
    told = [row for row in real if row["c2pa"]]
    right = sum(_as_signed(row, _measured(folder / row["file"])) for row in told)
    yield Row("C2PA: state and training assertions", right, len(told), "nothing was fetched")
    others = [row for row in real if not row["c2pa"]]
    quiet = [_measured(folder / row["file"]) for row in others]
    right = sum(row["c2pa_state"] == "none" and not row["optout"] for row in quiet)
    yield Row("other files: no manifest and no opt-out is seen", right, len(others))
    right = sum(_named(folder / file) == name for file, name in NAMED.items())
    yield Row("who is named by EXIF, IPTC-IIM and XMP", right, len(NAMED))
    data = (folder / "xmp" / "exiftool-ExtendedXMP.jpg").read_bytes()
    segments = segments_of(data)
    (guid,) = xmp_in(dict(_packets(data))[b"http://ns.adobe.com/xap/1.0/"])[
        "xmpNote:HasExtendedXMP"
    ]
    yield Row("extended XMP put together whole", b"PDF Title" in extended_xmp(segments, guid), 1)


def hosts(folder: Path) -> Iterator[Row]:
    """Read what hosts said, in headers and in their files."""
    rows = json.loads((folder / "made-http-headers.json").read_text())
    found = [_measure({"source_url": row["url"], "extra": json.dumps({"headers": row["headers"]})})
             for row in rows]  # fmt: skip
    right = sum(bool(f["optout"]) is not r["allowed"] for f, r in zip(found, rows, strict=True))
    yield Row("HTTP headers", right, len(rows))
    texts = {path.name: path.read_bytes().decode() for path in folder.glob("made-*.*")}
    right = sum(
        sorted(optouts_in(kind, texts[file], f"https://example.org{path}", AI_CRAWLERS)) == expected
        for kind, file, path, expected in SAID_BY_HOSTS
    )
    yield Row("robots.txt, ai.txt, tdmrep.json", right, len(SAID_BY_HOSTS))


def mutant(folder: Path) -> Row:
    """Read the notice in each picture of the non-commercial shard, which has no column for it."""
    table = pq.read_table(folder / "emoji-mutant-nc.parquet", columns=["image"])
    images = [v if isinstance(v, bytes) else v["bytes"] for v in table["image"].to_pylist()]
    read = [_measure({}, image)["licence_claims"] for image in images]
    right = sum(claims == ["CC-BY-NC-SA-4.0"] for claims in read)
    return Row("non-commercial notice in the picture alone", right, len(images))


# One row of the wild list is a sentence and no address: it is read for its words.
SENTENCES = {
    "Creative Commons Attribution 4.0 license. For the license details, see:&":
        Licence(frozenset({"by"}), "4.0", ""),
}  # fmt: skip
# Derived from the texts of the made files, by hand.
_NAMED_IN_MIXED = ["robots.txt:CCBot", "robots.txt:GPTBot"]
SAID_BY_HOSTS: Sequence[tuple[str, str, str, list[str]]] = (
    (ROBOTS, "made-robots-mixed.txt", "/1.jpg", _NAMED_IN_MIXED),
    (ROBOTS, "made-robots-mixed.txt", "/private/1.jpg", ["robots.txt:*", *_NAMED_IN_MIXED]),
    (ROBOTS, "made-robots-mixed.txt", "/photos/1.jpg",
     [*_NAMED_IN_MIXED, "robots.txt:ImagesiftBot"]),
    (ROBOTS, "made-robots-mixed.txt", "/photos/open/1.jpg", _NAMED_IN_MIXED),
    (ROBOTS, "made-robots-bom-crlf.txt", "/img/1.png", ["robots.txt:*"]),
    (ROBOTS, "made-robots-bom-crlf.txt", "/img/1.png?size=2", []),
    (AI_TXT, "made-ai.txt", "/a/1.jpg", ["ai.txt:*"]),
    (AI_TXT, "made-ai.txt", "/a/1.txt", []),
    (TDMREP, "made-tdmrep.json", "/images/1.jpg", ["tdmrep.json"]),
    (TDMREP, "made-tdmrep.json", "/open/1.jpg", []),
    (TDMREP, "made-tdmrep.json", "/news/1.jpg", ["tdmrep.json"]),
    (TDMREP, "made-tdmrep.json", "/1.jpg", []),
    (TDMREP, "made-tdmrep-bad.json", "/1.jpg", ["tdmrep.json:unreadable"]),
)  # fmt: skip
# As `strings` and an EXIF viewer show them.
NAMED = {
    "planted/exif-owner-and-serial.jpg": "Asha Example",
    "exif/exiftool-ExifTool.jpg": "Phil Harvey",
    "xmp/exiftool-IPTC.jpg": "Phil Harvey",  # in the IPTC-IIM block alone
    "xmp/exiftool-XMP.jpg": "Phil Harvey",
    "xmp/exiftool-PNG.png": "Phil Harvey",
    "xmp/exiftool-PhotoMechanic.jpg": "Photographer",
    "xmp/exiftool-RIFF.webp": "me",
    "c2pa/adobe-20220124-C.jpg": "Adobe make_test",  # in the manifest alone
    "c2pa/adobe-20220124-XCA.jpg": None,  # its manifest is not to be believed
    "exif/pillow-flower.jpg": None,
}
PLANTED = {
    "CC-BY-2.5-IN": "LicenseRef-CC-BY-2.5-IN",
    "all rights reserved": "LicenseRef-All-Rights-Reserved",
}
# SOURCE.md: C and CA verify with a certificate nobody should trust; E-* and XCA do not.
STATES = {"none": {"none"}, "valid": {"untrusted"}, "present": {"untrusted"},
          "invalid": {"invalid"}, "remote": {"remote"}}  # fmt: skip


def _as_planted(row: Mapping[str, str], found: Mapping[str, object]) -> bool:
    """Say whether a planted file was read as its row says, and nothing else was seen in it."""
    licence = row["field"] in {"cc:license", "xmpRights:WebStatement", "dc:rights",
                               "xmpRights:Marked"}  # fmt: skip
    reserved = row["field"] == "plus:DataMining" and "PROHIBITED" in row["value"]
    made = row["field"] == "Iptc4xmpExt:DigitalSourceType"
    return (
        found["licence_claims"] == ([PLANTED.get(row["value"], row["value"])] if licence else [])
        and found["optout"] == ([f"plus:{row['value']}"] if reserved else [])
        and found["generator_id"] == ("unstated" if made else None)
    )


def _as_signed(row: Mapping[str, str], found: Mapping[str, object]) -> bool:
    forbidden = {"c2pa", "cawg"} if row["training"] == "notAllowed" else set()
    signals = {str(signal).partition(":")[0] for signal in _texts(found["optout"])}
    return found["c2pa_state"] in STATES[row["c2pa"]] and (
        signals <= forbidden and bool(signals) is bool(forbidden)
    )


def _named(path: Path) -> object:
    return _measured(path)["credit"]


def _packets(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for _, body in segments_of(data):
        name, _, packet = body.partition(b"\0")
        yield name, packet


def _measured(path: Path) -> Mapping[str, object]:
    return _measure({}, path.read_bytes())


def _measure(record: Mapping[str, str], image: bytes = b"") -> Mapping[str, object]:
    """Measure one sample as the engine does."""
    row = {"id": "1", "source": "answers", "attributes": "{}", "extra": "{}", **record}
    columns = LicenceAudit().measure(
        Batch(pa.Table.from_pylist([row], schema=MANIFEST), (_picture(image),), (image,))
    )
    return {name: values[0] for name, values in columns.items()}


def _picture(image: bytes) -> Picture | None:
    try:
        return decode(image, longest_px=320)
    except Undecodable:
        return None


def _record_ids(row: Mapping[str, str | int], columns: Iterable[str]) -> frozenset[str]:
    """Return what the named columns of a COCO row claim, as ingest would lay them out."""
    told = {name: str(row[name]) for name in columns}
    record = {
        "licence": told.get("license_name"),
        "licence_url": told.get("license_url"),
        "source": "coco_val2017_captions.parquet",
        "source_url": str(row["coco_url"]),
    }
    extra = {"license_id": row["license_id"]} if "license_id" in told else {}
    claims = record_claims(record, extra)
    return without_vaguer(frozenset().union(*(claim.reading.ids for claim in claims)))


def _in_address(address: str) -> Licence | None:
    """Return the licence an address leads to, by its folders alone; None where to none."""
    _, found, tail = unquote(address).lower().replace(" ", "").rpartition("creativecommons.org")
    folders = [part for part in tail.split("/") if part] if found else []
    if not folders or not tail.startswith("/"):
        return None
    if folders[0] in {"licenses", "licences", "license", "l"} and len(folders) > 1:
        return _in_folders(folders[1:])
    if folders[0] in {"publicdomain", "p"}:
        return _in_folders(folders)
    return None


def _in_folders(folders: list[str]) -> Licence | None:
    """Return the licence in folders such as by-nc, 2.5, in, deed.hi."""
    code = folders[0].replace("+", "-plus").split("-")
    if folders[0] in {"publicdomain", "p"}:
        kind = folders[1] if folders[1:] and folders[1] in {"zero", "mark"} else "publicdomain"
        return Licence(frozenset({kind}), "" if kind == "publicdomain" else "1.0", "")
    if folders[0] == "mit" or not set(code) <= ELEMENTS | OTHER_WORDS:
        return Licence(frozenset({"mit"}), "", "") if folders[0] == "mit" else None
    number = folders[1] if folders[1:] and folders[1].replace(".", "").isdigit() else ""
    after = folders[2] if number and folders[2:] else ""
    ported = after.isalpha() and (len(after) in {2, 3} or after == "scotland")
    return Licence(frozenset(code), number, after if ported else "")


def _in_row(code: str, number: str) -> Licence:
    public = {"cc0": "zero", "pdm": "mark"}.get(code.lower())
    return Licence(frozenset({public} if public else code.lower().split("-")), number, "")


def _licence(spdx: str) -> Licence:
    """Return an id of ours as code, version and port."""
    name = spdx.removeprefix("LicenseRef-").lower().removesuffix("-only")
    fixed = {"cc0-1.0": "zero-1.0", "cc-pdm-1.0": "mark-1.0", "cc-pddc": "publicdomain"}
    parts = fixed.get(name, name.removeprefix("cc-")).removesuffix("-unknown-version").split("-")
    number = next((part for part in parts if part[:1].isdigit()), "")
    at = parts.index(number) if number else len(parts)
    return Licence(frozenset(parts[:at]), number, "-".join(parts[at + 1 :]))


def _one(ids: frozenset[str]) -> str:
    return next(iter(ids)) if len(ids) == 1 else ""


def _texts(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> int:
    """Print the table; say what is not as it should be by the exit status."""
    data = Path(sys.argv[1]) if sys.argv[1:] else DATA
    if not (data / "licences").is_dir():
        print(f"There is no folder licences in {data.name}; name the data folder as the argument.")
        return 5
    begun = time.perf_counter()
    for row in answers(data):
        print(f"{row.what:48} {row.right:5,} of {row.of:5,}  {row.note}".rstrip())
    used = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    print(f"{time.perf_counter() - begun:.1f} s; {used}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
