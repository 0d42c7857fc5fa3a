"""The tables that rules read: samples, groups of them, the snapshot, the run.

`SAMPLE` is the promise of ingest, engine and audits as far as rules may rely on it; whatever else a
table of measures holds may be read too. Four columns are added from the reference data:
`licence_use`, `generator_use`, `captioner_use` and `region_country`.

Does not see: how a column was measured. A column that is absent is not guessed; a rule that reads
it blocks.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from governance.canon import Json
from governance.places import country_of
from governance.records import Finding
from governance.snapshot import MANIFEST
from policies.reference import USES, generator_use, licence_use

Mask = npt.NDArray[np.bool_]

_TEXTS: Final = pa.list_(pa.string())
_MEASURED: Final = {
    "decoded": pa.bool_(), "decode_error": pa.string(), "width_px": pa.int32(),
    "height_px": pa.int32(), "format": pa.string(), "mode": pa.string(), "frames": pa.int32(),
    "trailing_bytes": pa.int64(), "pixels_sha256": pa.string(),
    "licence_spdx": pa.string(), "licence_claims": _TEXTS, "licence_conflict": pa.bool_(),
    "licence_sources": _TEXTS, "licence_unrecognised": pa.bool_(), "licence_evidence": _TEXTS,
    "licensor_conflict": pa.bool_(), "attributed": pa.bool_(), "credit": pa.string(),
    "optout": _TEXTS, "optout_evidence": _TEXTS, "generator_id": pa.string(),
    "captioner_id": pa.string(), "c2pa_state": pa.string(), "c2pa_training": _TEXTS,
    "c2pa_generator": pa.string(),
    "nsfw_scored": pa.bool_(), "nsfw_score": pa.float32(), "nsfw_class": pa.string(),
    "nsfw_detections": pa.string(), "nsfw_second_score": pa.float32(), "faces": pa.int32(),
    "nsfw_terms": pa.bool_(), "pdq_quality": pa.int32(),
    "suspected": pa.bool_(), "suspected_by": pa.string(),
    "phash": pa.string(), "low_information": pa.bool_(), "phash_views": pa.binary(),
    "duplicate_of": pa.string(), "duplicate_kind": pa.string(),
    "duplicate_same_attributes": pa.bool_(), "duplicate_view": pa.string(),
    "cluster": pa.string(), "leaks": _TEXTS,
    "declared": _TEXTS, "stated": _TEXTS, "traits": _TEXTS,
    "pii_kinds": _TEXTS, "pii_scores": pa.map_(pa.string(), pa.float64()),
    "pii_count": pa.int32(), "pii_digests": _TEXTS, "pii_presidio_kinds": _TEXTS,
    "gps": pa.bool_(), "device_owner": pa.bool_(), "person_named": pa.bool_(),
    "face_marked": pa.bool_(), "model_release": pa.string(), "minor_terms": pa.bool_(),
    "document_like": pa.float32(), "consent": pa.bool_(),
    "storage_region": pa.string(), "subject_country": pa.string(), "gps_country": pa.string(),
    "aspect": pa.float32(), "blur": pa.float32(), "entropy": pa.float32(),
    "brightness": pa.float32(), "caption_chars": pa.int32(), "caption_words": pa.int32(),
    "caption_script": pa.string(),
}  # fmt: skip
# What the workflow adds: was the sample measured; is its case closed, null where it has none
JOINED: Final = {"covered": pa.bool_(), "case_closed": pa.bool_()}
SAMPLE: Final = pa.schema([*MANIFEST, *_MEASURED.items(), *JOINED.items()])
DERIVED: Final = frozenset({"licence_use", "generator_use", "captioner_use", "region_country"})
WEIGHTS: Final = tuple(f"{kind}_{use}" for kind in ("weights", "judging") for use in USES)
_NUMBERS: Final = pa.map_(pa.string(), pa.float64())
SNAPSHOT: Final = pa.schema(
    {
        "samples": pa.int64(), "covered": pa.int64(), "excluded": pa.int64(),
        "excluded_share": pa.float64(), "cleared": pa.int64(),
        "finding": _NUMBERS, "finding_low": _NUMBERS, "finding_high": _NUMBERS,
    }
)  # fmt: skip


def group_schema(column: str) -> pa.Schema:
    """Return the columns of a table of groups: the group's value, counts, and shares in 0..1.

    `share` is the group's share of all cleared samples, `excluded_share` the part of the group
    that is not cleared.
    """
    return pa.schema(
        {
            column: pa.string(), "samples": pa.int64(), "cleared": pa.int64(),
            "share": pa.float64(), "excluded_share": pa.float64(),
        }
    )  # fmt: skip


def sample_table(samples: pa.Table) -> pa.Table:
    """Return the samples with what the reference data says of them, where it can say anything."""
    names = set(samples.column_names)
    table = samples.drop_columns(sorted(names & DERIVED))
    if {"licence_claims", "licence_unrecognised"} <= names:
        uses = _licence_uses(samples["licence_claims"], samples["licence_unrecognised"])
        table = table.append_column("licence_use", uses)
    for model in ("generator", "captioner"):
        if f"{model}_id" in names:
            uses = _looked_up(samples[f"{model}_id"].combine_chunks(), generator_use)
            table = table.append_column(f"{model}_use", uses)
    if "storage_region" in names:
        countries = _looked_up(samples["storage_region"].combine_chunks(), country_of)
        table = table.append_column("region_country", countries)
    return table


def group_table(samples: pa.Table, column: str, cleared: Mask) -> pa.Table:
    """Return one row for each value of a column, in the order of the values; NULL is a group.

    A sample whose column is a list stands in the group of each of its entries.
    """
    values, inside = samples[column].combine_chunks(), pa.array(cleared)
    if pa.types.is_list(values.type):
        values, inside = values.flatten(), inside.take(values.value_parent_indices())
    rows = pa.table({column: values.cast(pa.string()), "inside": inside.cast(pa.int64())})
    counts = rows.group_by(column).aggregate([("inside", "count"), ("inside", "sum")])
    counts = counts.sort_by(column)
    total, kept = counts["inside_count"].to_numpy(), counts["inside_sum"].to_numpy()
    return pa.table(
        [counts[column], total, kept, kept / max(int(cleared.sum()), 1), 1 - kept / total],
        schema=group_schema(column),
    )


def snapshot_table(covered: Mask, cleared: Mask, findings: Sequence[Finding]) -> pa.Table:
    """Return the one row that rules about the whole snapshot read."""
    samples, kept = len(cleared), int(cleared.sum())
    row = {
        "samples": samples,
        "covered": int(covered.sum()),
        "excluded": samples - kept,
        "excluded_share": (samples - kept) / samples if samples else None,
        "cleared": kept,
        "finding": _numbers(findings, lambda finding: finding.value),
        "finding_low": _numbers(findings, lambda finding: finding.low),
        "finding_high": _numbers(findings, lambda finding: finding.high),
    }
    return pa.Table.from_pylist([row], schema=SNAPSHOT)


def run_table(facts: Mapping[str, Json]) -> pa.Table:
    """Return the one row that rules about a run read: every fact that is one value.

    The country follows from `compute_region`; where a country is stated too and differs, it is
    NULL: neither is believed. Of `weights` it holds `weights_USE`, role and digest of each that
    teaches the model under a licence of that use, '' where there is none, and `judging_USE` of the
    others; USE is one of `USES`. Columns that pretend to be these are not believed.
    """
    region, stated = facts.get("compute_region"), facts.get("compute_country")
    country = country_of(region) if isinstance(region, str) else None
    plain = {k: v for k, v in facts.items() if v is None or isinstance(v, bool | int | float | str)}
    plain = {k: v for k, v in plain.items() if k not in WEIGHTS} | _weights(facts.get("weights"))
    if stated and country and stated != country:
        return pa.Table.from_pylist([plain | {"compute_country": None}])
    return pa.Table.from_pylist([plain | {"compute_country": stated or country}])


def _weights(rows: Json) -> dict[str, bool | int | float | str | None]:
    """Return the columns about weights; none where nobody said which weights a run has."""
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return {}
    told: dict[str, list[str]] = {name: [] for name in WEIGHTS}
    for row in rows:
        said = row if isinstance(row, Mapping) else {}
        use = licence_use(str(said.get("licence") or ""))
        kind = "judging" if said.get("teaches") is False else "weights"
        told[f"{kind}_{use}"].append(f"{said.get('role')} {str(said.get('sha256'))[:12]}")
    return {name: ", ".join(found) for name, found in told.items()}


def truth(table: pa.Table, column: str) -> Mask:
    """Return where a column is true; nowhere when there is no such column."""
    if column not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.bool_)
    return np.asarray(table[column].fill_null(fill_value=False).to_numpy(), dtype=np.bool_)


def _numbers(
    findings: Collection[Finding], read: Callable[[Finding], float | None]
) -> list[tuple[str, float | None]]:
    """Return numbers by 'audit/name'. A name that stands twice has no number, and so violates."""
    found: dict[str, float | None] = {}
    for finding in findings:
        name = f"{finding.audit}/{finding.name}"
        number = None if name in found else read(finding)
        found[name] = number if number is not None and np.isfinite(number) else None
    return list(found.items())


def _licence_uses(claims: pa.ChunkedArray, unrecognised: pa.ChunkedArray) -> pa.Array:
    """Return the strictest use over all claims of each sample; 'unknown' where there is none."""
    lists = claims.combine_chunks()
    owners = lists.value_parent_indices().to_numpy()
    ranks = _looked_up(lists.flatten(), lambda claim: USES.index(licence_use(claim)))
    worst = np.zeros(len(lists), dtype=np.int64)
    np.maximum.at(worst, owners, ranks.to_numpy(zero_copy_only=False).astype(np.int64))
    unread = np.array(unrecognised.fill_null(fill_value=True).to_numpy(), dtype=np.bool_)
    unread |= np.bincount(owners, minlength=len(lists)) == 0
    worst[unread] = np.maximum(worst[unread], USES.index("unknown"))
    return pa.array(USES).take(pa.array(worst))


def _looked_up(texts: pa.Array, look_up: Callable[[str | None], str | int | None]) -> pa.Array:
    """Return what each text means; each different text is looked up once."""
    coded = texts.dictionary_encode(null_encoding="encode")
    return pa.array([look_up(t) for t in coded.dictionary.to_pylist()]).take(coded.indices)
