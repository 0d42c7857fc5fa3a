"""Sources: what a user may name, read sample by sample.

Hugging Face `datasets` reads, streaming: Parquet, WebDataset tars, JSONL, CSV and hub ids. Paths
that a source names are followed only below its own folder.

Does not see: whether a picture can be decoded, or what the columns mean (`audits.reading.columns`).
"""

import csv
import glob
import logging
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audits.reading.columns import IMAGE, Record, columns_for, names_of
from audits.reading.shards import fits_in_place
from governance.canon import parse_json, printable
from governance.errors import UsageError
from governance.images import MAX_BYTES
from governance.snapshot import image_bytes

PICTURES = frozenset({".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".webp"})
OTHER_PICTURES = frozenset({".heic", ".jp2", ".psd", ".svg", ".tga", ".tif", ".tiff"})
METADATA = frozenset({"metadata.csv", "metadata.jsonl"})
LISTS = frozenset({".csv", ".jsonl"})
TARS = (".tar", ".tar.gz", ".tgz")
ALLOWED = (
    "Allowed are a folder with metadata.csv or metadata.jsonl beside its pictures, Parquet with "
    "embedded pictures, a WebDataset .tar, a .jsonl or .csv list of local paths, or a hub id."
)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?")
READ_ROWS = 64  # held in memory at once
READ_FAULTS = (OSError, ValueError, RuntimeError, EOFError, tarfile.TarError)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A sample as a reader found it; `place` names it within its source."""

    place: str
    record: Record
    image: bytes
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Samples of one kind; where `column` is set, `path` is Parquet to register in place."""

    path: Path
    samples: Iterator[Found]
    column: str | None = None


def pieces_of(source: str, *, mapping: Mapping[str, str], cache: str) -> Iterator[Piece]:
    """Return the pieces of a source, in a fixed order.

    Args:
        source: a folder, a file or a hub id.
        mapping: the source's column names to our words.
        cache: a folder that `datasets` may litter.

    Raises:
        UsageError: it is not there, of no kind that is read, or leaves its own folder.
    """
    from datasets import logging as reader_logging  # noqa: PLC0415  heavy

    reader_logging.set_verbosity(reader_logging.CRITICAL)  # it logs paths; we say it in a sentence
    path = Path(source)
    if path.is_dir():
        return _folder(path, mapping=mapping, cache=cache)
    if path.is_file():
        return iter([_file(path, mapping=mapping, cache=cache)])
    shown = printable(source)[:200]
    if path.exists():
        raise UsageError(f"{shown} is neither a file nor a folder. {ALLOWED}")
    if not HUB_ID.fullmatch(source):
        raise UsageError(f"There is no file or folder {shown}. {ALLOWED}")
    return _hub(source, mapping=mapping, cache=cache)


def samples_of(piece: Piece) -> Iterator[Found]:
    """Yield the samples of a piece. Raises UsageError when it cannot be read to its end."""
    try:
        yield from piece.samples
    except READ_FAULTS as fault:
        said = printable(f"{type(fault).__name__}: {fault}")[:200]
        raise UsageError(f"{piece.path.name} cannot be read to its end ({said}).") from None


def _file(path: Path, *, mapping: Mapping[str, str], cache: str) -> Piece:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _parquet(path, mapping=mapping, cache=cache)
    if name.endswith(TARS):
        return Piece(path=path, samples=_tar(path))
    if path.suffix.lower() in LISTS:
        records = _records(path, cache=cache)
        listed = _listed(path, records, root=path.parent, mapping=mapping)
        return Piece(path=path, samples=(found for _, found in listed))
    raise UsageError(f"{printable(path.name)} has a suffix that is not read. {ALLOWED}")


def _folder(folder: Path, *, mapping: Mapping[str, str], cache: str) -> Iterator[Piece]:
    """Yield what a folder holds: pictures with metadata, or else tars, or else Parquet files."""
    files = sorted(p for p in folder.rglob("*") if not p.is_dir() and not _is_hidden(p, folder))
    metadata = [p for p in files if p.name.lower() in METADATA]
    pictures = [p for p in files if p.suffix.lower() in PICTURES]
    packed = [p for p in files if p.name.lower().endswith(TARS)]
    packed = packed or [p for p in files if p.suffix.lower() == ".parquet"]
    if not metadata and packed:
        yield from (_file(p, mapping=mapping, cache=cache) for p in packed)
        return
    if not metadata and not pictures:
        raise UsageError(
            f"Folder {printable(folder.name)} holds {len(files)} files and none that is read. "
            + ALLOWED
        )
    samples = _pictures(folder, metadata, pictures, mapping=mapping, cache=cache)
    yield Piece(path=folder, samples=samples)
    others = len(files) - len(metadata) - len(pictures)
    log.info("%d files that are neither pictures nor metadata were left alone", others)


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _pictures(
    folder: Path,
    metadata: Sequence[Path],
    pictures: Sequence[Path],
    *,
    mapping: Mapping[str, str],
    cache: str,
) -> Iterator[Found]:
    """Yield what the metadata names, then the pictures that no metadata names."""
    named = set()
    for path in metadata:
        _inside(folder, path.parent, path.name)
        records = _records(path, cache=cache)
        for image, found in _listed(path, records, root=folder, mapping=mapping):
            named.add(image)
            yield found
    for path in pictures:
        resolved = _inside(folder, path.parent, path.name)
        if resolved not in named:
            data, fault = _read(resolved)
            place = path.relative_to(folder).as_posix()
            yield Found(place=place, record={}, image=data, fault=fault)


def _records(path: Path, *, cache: str) -> Iterator[Record]:
    """Yield the rows of a JSONL or CSV file; every CSV cell is text, as it stands."""
    return _json_lines(path, cache) if path.suffix.lower() == ".jsonl" else _csv_rows(path, cache)


def _json_lines(path: Path, cache: str) -> Iterator[Record]:
    from datasets import IterableDataset  # noqa: PLC0415  heavy

    lines = IterableDataset.from_text(_literal(path), cache_dir=cache)
    for number, line in enumerate(lines, start=1):
        text = line["text"].lstrip("\ufeff").strip()
        record = parse_json(text) if text else {}
        if not isinstance(record, Mapping):
            raise UsageError(f"Line {number} of {path.name} is not a JSON object; make it one.")
        if record:
            yield record


def _csv_rows(path: Path, cache: str) -> Iterator[Record]:
    from datasets import Features, IterableDataset, Value  # noqa: PLC0415  heavy

    with path.open(encoding="utf-8-sig", newline="") as stream:
        head = csv.reader(stream)
        names = [name or f"column_{place}" for place, name in enumerate(next(head, []))]
        first = next(head, [])
    if len(set(names)) != len(names):
        raise UsageError(f"{path.name} has two columns of one name; rename one.")
    if len(first) > len(names):  # pandas would take the first column for an index and shift
        raise UsageError(f"{path.name} has {len(names)} columns and a row of {len(first)} cells.")
    if names:
        cells = Features({name: Value("string") for name in names})
        yield from IterableDataset.from_csv(
            _literal(path), cache_dir=cache, features=cells, names=names, header=0,
            keep_default_na=False, encoding="utf-8-sig",
        )  # fmt: skip


def _listed(
    path: Path, records: Iterable[Record], *, root: Path, mapping: Mapping[str, str]
) -> Iterator[tuple[Path | None, Found]]:
    """Yield where each listed picture lies, and the picture, read from below `root` only."""
    for number, record in enumerate(records):
        names = columns_for(IMAGE, tuple(record), mapping)
        column = next((n for n in names if isinstance(record[n], str) and record[n]), None)
        if column is None and not names:
            raise UsageError(
                f"{path.name} names no pictures: found {names_of(tuple(record))}. Name the column "
                "with their paths file_name, or map yours to image."
            )
        rest = {name: value for name, value in record.items() if name != column}
        if column is None:
            place = f"{path.name}#{number}"
            yield None, Found(place=place, record=rest, image=b"", fault="no path is given")
            continue
        place = str(record[column])
        image = _inside(root, path.parent, place)
        data, fault = _read(image)
        yield image, Found(place=place, record=rest, image=data, fault=fault)


def _inside(root: Path, base: Path, name: str) -> Path:
    """Return the file that `name` means below `base`, with every link followed.

    Raises:
        UsageError: it lies outside `root`, is an address, or is no regular file.
    """
    shown = printable(name)[:80]
    if "://" in name or "\0" in name:
        raise UsageError(f"Picture path {shown!r} is no local path; write paths below the source.")
    path, root = (base / name).resolve(), root.resolve()
    if not path.is_relative_to(root):
        raise UsageError(
            f"Picture path {shown!r} leaves the folder of its source; keep pictures below it."
        )
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise UsageError(f"Picture path {shown!r} is no regular file; remove it from the source.")
    return path


def _read(path: Path) -> tuple[bytes, str]:
    """Return the bytes of a file, or none and why."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            return b"", f"the file has {size} bytes; at most {MAX_BYTES} are read"
        return path.read_bytes(), ""
    except OSError as fault:
        return b"", f"the file cannot be read: {fault.strerror}"


def _parquet(path: Path, *, mapping: Mapping[str, str], cache: str) -> Piece:
    from datasets import IterableDataset  # noqa: PLC0415  heavy

    try:
        column = _image_column(pq.read_schema(path), mapping)
    except (OSError, ValueError) as fault:
        raise UsageError(f"{path.name} is not Parquet: {printable(str(fault))[:120]}") from None
    rows = IterableDataset.from_parquet(_literal(path), cache_dir=cache, batch_size=READ_ROWS)
    rows = rows.decode(False)  # noqa: FBT003
    if column is None:
        listed = _listed(path, rows, root=path.parent, mapping=mapping)
        return Piece(path=path, samples=(found for _, found in listed))
    samples = _embedded(rows, column, prefix=path.stem)
    in_place = fits_in_place(path, column)
    return Piece(path=path.resolve(), samples=samples, column=column if in_place else None)


def _hub(source: str, *, mapping: Mapping[str, str], cache: str) -> Iterator[Piece]:
    from datasets import load_dataset  # noqa: PLC0415  heavy

    try:
        splits = load_dataset(source, streaming=True, cache_dir=cache)
    except READ_FAULTS as fault:
        raise UsageError(
            f"There is no file or folder {source}, and the hub has it not either or cannot be "
            f"reached ({printable(str(fault))[:160]}). {ALLOWED}"
        ) from None
    for split, rows in splits.items():
        plain = rows.decode(False)  # noqa: FBT003
        features = plain.features
        column = _image_column(features.arrow_schema, mapping) if features else None
        if not column:
            raise UsageError(f"{source} holds no pictures: found {names_of(list(features or ()))}.")
        yield Piece(path=Path(source), samples=_embedded(plain, column, prefix=str(split)))


def _embedded(rows: Iterable[Record], column: str, *, prefix: str) -> Iterator[Found]:
    """Yield samples of a table with the pictures in one column."""
    for number, row in enumerate(rows):
        record = {name: value for name, value in row.items() if name != column}
        image = image_bytes(row[column])
        yield Found(place=f"{prefix}/{number}", record=record, image=image)


def _image_column(schema: pa.Schema, mapping: Mapping[str, str]) -> str | None:
    """Return the column that holds encoded pictures: the usual name, or the only binary one."""
    held = [field.name for field in schema if _holds_bytes(field.type)]
    named = columns_for(IMAGE, held, mapping)
    if named:
        return named[0]
    return held[0] if len(held) == 1 else None


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _literal(path: Path) -> str:
    """Return a path in which `datasets` finds no wildcard."""
    return glob.escape(str(path.resolve()))


def _tar(path: Path) -> Iterator[Found]:
    """Yield the samples of a WebDataset tar: neighbours whose names are equal up to the first dot.

    `datasets` opens the archive and passes over links and devices; its own grouping is not used,
    because it gives up at the first sample with broken JSON or without a caption.
    """
    from datasets import StreamingDownloadManager  # noqa: PLC0415  heavy

    key, fields = "", dict[str, bytes]()
    for name, stream in StreamingDownloadManager().iter_archive(str(path)):
        if name.startswith("/") or ".." in Path(name).parts:
            raise UsageError(f"{path.name} has a member whose name leaves the archive; repack it.")
        folder, _, last = name.rpartition("/")
        stem, _, suffix = last.partition(".")
        if fields and (f"{folder}/{stem}" != key or suffix.lower() in fields):
            yield _packed(key, fields)
            fields = {}
        key = f"{folder}/{stem}"
        fields[suffix.lower()] = stream.read(MAX_BYTES + 1)
    if fields:
        yield _packed(key, fields)


def _packed(key: str, fields: Mapping[str, bytes]) -> Found:
    """Return one sample of a tar from its members by suffix."""
    record: dict[str, object] = {}
    fault = ""
    try:
        said = parse_json(fields.get("json", b"{}"))
        record.update(said if isinstance(said, Mapping) else {})
        fault = "" if isinstance(said, Mapping) else "its metadata is no JSON object"
    except UsageError:
        fault = "its metadata is not JSON"
    text = fields.get("txt", b"").decode(errors="replace")
    if text and text != record.get("caption"):
        record["txt"] = text
    kinds = PICTURES | OTHER_PICTURES
    image = next((data for suffix, data in fields.items() if f".{suffix}" in kinds), b"")
    if len(image) > MAX_BYTES:
        image, fault = b"", f"the file has more than {MAX_BYTES} bytes"
    return Found(place=key.lstrip("/"), record=record, image=image, fault=fault)
