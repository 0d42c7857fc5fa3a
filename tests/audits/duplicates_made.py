"""Pictures, and what the duplicate audit says of them, for the tests of it."""

import hashlib
import io
import json

import duckdb
import numpy as np
import pyarrow as pa
from PIL import Image

from audits.audit import LONGEST_PX, Batch
from audits.duplicates import DuplicatesAudit
from audits.methods import method_of
from governance.images import decode

MEASURES = pa.schema(
    [
        ("id", pa.string()),
        ("caption", pa.string()),
        ("attributes", pa.string()),
        ("sha256", pa.string()),
        ("size_bytes", pa.int64()),
        ("source", pa.string()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("pixels_sha256", pa.string()),
        *DuplicatesAudit.columns,
        ("suspected", pa.bool_()),
    ]
)


def picture(seed=1, *, side=96, form="PNG", colour=None, **options):
    """Encoded bytes of a textured scene; the same seed is the same scene."""
    noise = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    if colour:
        image.paste(colour, (side // 4, side // 4, side // 2, side // 2))
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def sample(name, data, *, caption="", **attributes):
    return {"id": name, "caption": caption, "data": data, "attributes": attributes}


def measured(audit, samples):
    """Return the measures of samples, as the engine would, and a function to their pictures."""
    rows, thumbnails = [], []
    for given in samples:
        decoded = decode(given["data"], longest_px=LONGEST_PX) if given["data"][:1] else None
        thumbnails.append(decoded)
        rows.append(
            {
                "id": given["id"],
                "caption": given["caption"],
                "attributes": json.dumps(given["attributes"], sort_keys=True),
                "sha256": hashlib.sha256(given["data"]).hexdigest(),
                "size_bytes": len(given["data"]),
                "source": given.get("source", "set"),
                "width_px": decoded and decoded.width_px,
                "height_px": decoded and decoded.height_px,
                "pixels_sha256": decoded and decoded.pixels_sha256,
                "suspected": given.get("suspected", False),
            }
        )
    columns = audit.measure(
        Batch(pa.table({"id": [r["id"] for r in rows]}), tuple(thumbnails), (b"",) * len(rows))
    )
    for name, values in columns.items():
        rows = [row | {name: value} for row, value in zip(rows, values, strict=True)]
    shown = {r["id"]: t and np.asarray(t.image) for r, t in zip(rows, thumbnails, strict=True)}
    return pa.Table.from_pylist(rows, schema=MEASURES), shown.__getitem__


def concluded_of(samples, audit=None):
    audit = audit or DuplicatesAudit()
    table, pictures = measured(audit, samples)
    with duckdb.connect() as connection:
        connection.register("measures", table)
        return audit.conclude(connection, pictures)


def concluded(samples, audit=None):
    conclusion = concluded_of(samples, audit)
    for finding in conclusion.findings:
        assert method_of("duplicates", finding.name).measured
    related = {
        row["id"]: (
            row["duplicate_of"], row["duplicate_kind"], row["duplicate_same_attributes"],
        )
        for row in conclusion.columns.to_pylist()
        if row["duplicate_of"]
    }  # fmt: skip
    return related, {finding.name: finding for finding in conclusion.findings}
