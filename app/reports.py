"""Reports of one audit as files: who has to be named, what is licensed how, hashes, data docs.

Texts of a dataset are hostile: no cell of a CSV file begins like a formula, and no control
character is written.

Does not see: whether naming somebody here fulfils a licence; that is for a person to say.
"""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.workflow import Audited
from audits.alike.leaks import hash_table
from audits.expectations.data_docs import export_docs
from audits.quality import QualityAudit
from governance.canon import printable, whole_folder, write_whole
from governance.snapshot import write_table
from policies.evidence import sample_table
from policies.reference import licence_duties

ATTRIBUTION, SOURCES = "ATTRIBUTION.csv", "licences-by-source.csv"
SHARE_ALIKE, HASHES, DOCS = "share-alike", "hashes.parquet", "data-docs"
NAMED = (
    "id", "sha256", "credit", "attribution", "licence_claims", "licence_evidence", "licence_url",
    "source_url",
)  # fmt: skip
READ = (*NAMED, "source", "size_bytes", "licence_use", "cleared")
BY_SOURCE = ("source", "licence_claims", "licence_use", "samples", "bytes", "cleared")
FORMULA = ("=", "+", "-", "@")  # what a spreadsheet would run. Source: OWASP, CSV injection
Row = Mapping[str, Any]  # a sample's cells, as Arrow gives them


def write_reports(folder: Path, audited: Audited) -> None:
    """Write the reports of an audit into a new folder, whole or not at all.

    `ATTRIBUTION.csv` has the cleared samples of which a licence asks something; `share-alike/` has
    the samples under each share-alike licence, apart, because such licences may not be mixed;
    `licences-by-source.csv` counts; with `hashes.parquet` another audit finds leakage.

    Raises:
        UsageError: the folder holds files already.
        EvidenceMissing: Great Expectations is not installed.
    """
    samples = sample_table(audited.samples)
    rows = samples.select(READ).to_pylist()
    with whole_folder(folder) as making:
        asked = [{**row, "duties": _duties(row)} for row in rows if row["cleared"] and _duties(row)]
        _write_csv(making / ATTRIBUTION, (*NAMED, "duties"), asked)
        _write_csv(making / SOURCES, BY_SOURCE, _by_source(rows))
        for claim, found in _share_alike(rows).items():
            name = re.sub(r"[^A-Za-z0-9.-]", "_", claim)
            _write_csv(making / SHARE_ALIKE / f"{name}.csv", (*NAMED, "cleared"), found)
        write_table(making / HASHES, hash_table(samples))
        (quality,) = (audit for audit in audited.audits if isinstance(audit, QualityAudit))
        export_docs(samples, making / DOCS, quality.suite)


def _by_source(rows: Sequence[Row]) -> list[Row]:
    """Return how many samples, bytes and cleared samples each source has under each licence."""
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for row in rows:
        key = (row["source"], _cell(row["licence_claims"]), row["licence_use"])
        counts[key].update(samples=1, bytes=row["size_bytes"], cleared=int(row["cleared"]))
    return [{**dict(zip(BY_SOURCE, key, strict=False)), **counts[key]} for key in sorted(counts)]


def _share_alike(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the samples under each licence that asks for the same licence again."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for claim in row["licence_claims"] or ():
            if "share-alike" in licence_duties(claim):
                found[claim].append(row)
    return found


def _duties(row: Row) -> list[str]:
    return sorted({duty for claim in row["licence_claims"] or () for duty in licence_duties(claim)})


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    write_whole(path, text.getvalue().encode())


def _cell(value: object) -> str:
    """Return a value as the text of a cell that no spreadsheet runs."""
    if isinstance(value, list):
        return _cell("; ".join(map(str, value)))
    text = printable("" if value is None else str(value)).strip()
    return f"'{text}" if text.startswith(FORMULA) else text
