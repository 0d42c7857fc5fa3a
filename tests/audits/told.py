"""Samples that declare and say things of people, measured and concluded: what bias tests share."""

import json

import duckdb
import pyarrow as pa

from audits.audit import Batch
from audits.bias import BiasAudit
from audits.methods import method_of

TEXTS = pa.list_(pa.string())


def measured(rows, **columns):
    """Return measures of (id, attributes, caption) rows, with more columns beside."""
    manifest = pa.table(
        {
            "id": [row[0] for row in rows],
            "source": ["set"] * len(rows),
            "attributes": pa.array(
                [None if row[1] is None else json.dumps(row[1]) for row in rows], pa.string()
            ),
            "caption": pa.array([row[2] for row in rows], pa.string()),
            **columns,
        }
    )
    audit = BiasAudit()
    told = audit.measure(Batch(manifest, (None,) * len(rows), (b"",) * len(rows)))
    for field in audit.columns:
        manifest = manifest.append_column(field, pa.array(told[field.name], field.type))
    return manifest


def concluded(measures):
    """Return the findings about measures by name; each has a name of its own and a method."""
    with duckdb.connect() as connection:
        connection.register("measures", measures)
        findings = BiasAudit().conclude(connection, no_picture).findings
    return by_name(findings)


def by_name(findings):
    for finding in findings:
        assert method_of("bias", finding.name)
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def no_picture(sample_id):
    raise AssertionError(f"bias asked for the picture of {sample_id}")


def excluded_by(**rules):
    """Return the table of exclusions: the ids each rule takes out."""
    rows = [(sample, rule) for rule, ids in rules.items() for sample in ids]
    return pa.table(
        {
            "id": pa.array([row[0] for row in rows], pa.string()),
            "rule": pa.array([row[1] for row in rows], pa.string()).dictionary_encode(),
        }
    )
