"""Sources and samples that several tests of audits make for themselves: real files, tiny."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from audits.audit import Batch
from governance.snapshot import MANIFEST


def png(shade=0):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def folder_of(path, metadata, *, name="metadata.jsonl", pictures=("a.png", "b.png")):
    path.mkdir(parents=True, exist_ok=True)
    for shade, picture in enumerate(pictures):
        (path / picture).parent.mkdir(parents=True, exist_ok=True)
        (path / picture).write_bytes(png(shade))
    if isinstance(metadata, list):
        metadata = "".join(json.dumps(record) + "\n" for record in metadata)
    (path / name).write_text(metadata, encoding="utf-8")
    return path


def parquet_of(path, count=3, **columns):
    pictures = [png(shade) for shade in range(count)]
    captions = [f"picture {place}" for place in range(count)]
    table = pa.table({"image": pictures, "caption": captions, **columns})
    pq.write_table(table, path)
    return path


def tar_of(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def batch_of(*records, pictures=None, images=None):
    rows = [
        {"attributes": "{}", **record, "id": str(place), "source": "set",
         "extra": json.dumps(record.get("extra", {}))}
        for place, record in enumerate(records)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=MANIFEST)
    return Batch(table, tuple(pictures or [None] * len(rows)), tuple(images or [b""] * len(rows)))


def measured_by(audit, *records, pictures=None, images=None):
    """Measure records with one audit; return a row a record."""
    columns = audit.measure(batch_of(*records, pictures=pictures, images=images))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
