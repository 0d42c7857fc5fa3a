"""The demo's dataset: 2,000 captioned scenes drawn here, with problems planted in known places.

Scenes are drawings of coloured shapes with photographic noise; nobody is in them. Every name and
number is invented or published for testing.

Does not see: what an audit finds. The truth is written beside the pictures so it can be compared.
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from training.evaluate.scenes import caption, every_scene, render

SAMPLES = 2_000
SIDE_PX = 64
HELD_OUT = 64  # combinations that no caption of the dataset names
AADHAAR = "9999 4105 7058"  # the number UIDAI publishes for testing
HOME = "aws:ap-south-1"
XMP_NO_MINING = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/">
<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED</plus:DataMining>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the dataset's metadata, and the picture's bytes."""

    file_name: str
    picture: bytes = field(repr=False)
    text: str
    license: str = "CC-BY-4.0"
    author: str = "the Pramana demo"
    generator_model: str = ""
    region: str = HOME


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What was planted: a name for people, the rule that should answer, and in which files."""

    name: str
    rule: str
    files: tuple[str, ...]


Change = Callable[[Row], Row]


def make(folder: Path, *, seed: int = 20261123) -> tuple[Problem, ...]:
    """Write the dataset into a new folder and return what is wrong with it."""
    rng = np.random.default_rng(seed)
    rows, problems = planted(list(scenes(SAMPLES, seed=seed)), rng)
    write(folder, rows)
    return problems


def planted(rows: list[Row], rng: np.random.Generator) -> tuple[list[Row], tuple[Problem, ...]]:
    """Plant each problem in rows that have no other, and say where."""
    free = iter(rng.permutation(len(rows)).tolist())
    problems: list[Problem] = []

    def plant(name: str, rule: str, count: int, change: Change) -> None:
        places = [next(free) for _ in range(count)]
        for place in places:
            rows[place] = change(rows[place])
        files = tuple(rows[place].file_name for place in places)
        problems.append(Problem(name=name, rule=rule, files=files))

    plant("non-commercial licence", "COM-LICENCE-FORBIDDEN", 40, _licensed("CC-BY-NC-4.0"))
    plant("no licence", "COM-LICENCE-UNKNOWN", 30, _licensed(""))
    plant("share-alike licence", "COM-LICENCE-DISPUTED", 20, _licensed("CC-BY-SA-4.0"))
    plant("tag says Apache-2.0, generator's terms forbid it", "COM-GENERATOR", 25, _generated)
    plant("opt-out inside the file", "COM-OPTOUT", 15, _opted_out)
    plant("GPS position in the file", "DPDP-BASIS", 10, _located)
    plant("telephone number in the caption", "DPDP-BASIS", 6, _called)
    plant("Aadhaar number in the caption", "COM-PERSONAL-NUMBER", 2, _numbered)
    plant("stored outside India", "DPDP-KEEP-IN-INDIA", 6, _abroad)
    plant("unreadable file", "COM-DECODED", 1, _torn)
    for name, count, copy in (("exact copy", 20, _same), ("near copy", 30, _recompressed)):
        originals = [rows[next(free)] for _ in range(count)]
        copies = [copy(row, f"scene-{len(rows) + n:05}") for n, row in enumerate(originals)]
        rows += copies
        files = tuple(row.file_name for row in copies)
        problems.append(Problem(name=name, rule="COM-DUPLICATE", files=files))
    return rows, tuple(problems)


def corrected(folder: Path, out: Path, problems: tuple[Problem, ...]) -> None:
    """Write the dataset again as its owner corrects it: what no filter may decide is mended.

    Numbers of persons leave the captions, and what lies abroad leaves the dataset.
    """
    numbered = _files(problems, "COM-PERSONAL-NUMBER")
    abroad = _files(problems, "DPDP-KEEP-IN-INDIA")
    rows = []
    for row in read(folder):
        if row.file_name in numbered:
            row = replace(row, text=row.text.partition(", Aadhaar")[0])  # noqa: PLW2901
        if row.file_name not in abroad:
            rows.append(row)
    write(out, rows)


def read(folder: Path) -> Iterator[Row]:
    """Read a dataset that `write` wrote."""
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as stream:
        for line in csv.DictReader(stream):
            yield Row(picture=(folder / line["file_name"]).read_bytes(), **line)


def write(folder: Path, rows: list[Row]) -> None:
    """Write pictures and metadata.csv into a new folder."""
    folder.mkdir(parents=True)
    columns = ["file_name", "text", "license", "author", "generator_model", "region"]
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for row in rows:
            (folder / row.file_name).write_bytes(row.picture)
            writer.writerow([getattr(row, column) for column in columns])


def _files(problems: tuple[Problem, ...], rule: str) -> set[str]:
    return {name for problem in problems if problem.rule == rule for name in problem.files}


def scenes(count: int, *, seed: int) -> Iterator[Row]:
    """Yield scenes of all combinations but the held-out ones, about equally often."""
    rng = np.random.default_rng(seed)
    every = every_scene()
    shown = [every[i] for i in rng.permutation(len(every))[HELD_OUT:]]
    for number in range(count):
        scene = shown[number % len(shown)]
        yield Row(
            file_name=f"scene-{number:05}.png",
            picture=_png(render(scene, SIDE_PX, rng)),
            text=caption(scene),
        )


def _png(image: Image.Image, **options: object) -> bytes:
    return _encoded(image, "PNG", **options)


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _image(row: Row) -> Image.Image:
    return Image.open(io.BytesIO(row.picture)).convert("RGB")


def _licensed(licence: str) -> Change:
    return lambda row: replace(row, license=licence)


def _generated(row: Row) -> Row:
    return replace(row, license="Apache-2.0", generator_model="FLUX.1-dev")


def _opted_out(row: Row) -> Row:
    return _as_jpeg(row, xmp=XMP_NO_MINING.encode())


def _located(row: Row) -> Row:
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (18.0, 55.0, 19.0), 3: "E", 4: (72.0, 50.0, 4.0)}
    return _as_jpeg(row, exif=exif)


def _as_jpeg(row: Row, **options: object) -> Row:
    data = _encoded(_image(row), "JPEG", quality=92, **options)
    return replace(row, picture=data, file_name=row.file_name.replace(".png", ".jpg"))


def _called(row: Row) -> Row:
    return replace(row, text=f"{row.text}, call +91 98765 43210")


def _numbered(row: Row) -> Row:
    return replace(row, text=f"{row.text}, Aadhaar {AADHAAR}")


def _abroad(row: Row) -> Row:
    return replace(row, region="aws:us-east-1")


def _torn(row: Row) -> Row:
    return replace(row, picture=row.picture[: len(row.picture) // 3])


def _same(row: Row, name: str) -> Row:
    return replace(row, file_name=f"{name}.png")


def _recompressed(row: Row, name: str) -> Row:
    data = _encoded(_image(row), "JPEG", quality=75)
    return replace(row, picture=data, file_name=f"{name}.jpg")
