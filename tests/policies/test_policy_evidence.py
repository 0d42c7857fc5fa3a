"""The promise between two rooms that are blind to each other: what audits give and rules read."""

import numpy as np
import pyarrow as pa

from audits.registry import AUDITS
from audits.worker import ENGINE
from governance.snapshot import MANIFEST
from policies.evidence import DERIVED, JOINED, SAMPLE, group_table, sample_table


def test_every_column_that_rules_may_rely_on_is_given_in_that_type() -> None:
    given = {field.name: field.type for field in (*MANIFEST, *ENGINE)}
    for audit in AUDITS:
        given |= {field.name: field.type for field in (*audit.columns, *audit.relations)}
    promised = {field.name: field.type for field in SAMPLE if field.name not in JOINED}
    assert promised.items() <= given.items()
    assert not DERIVED & given.keys()


def test_samples_without_rows_or_values_still_have_the_columns_of_the_reference() -> None:
    for table in (SAMPLE.empty_table(), pa.Table.from_pylist([{"id": "a"}], schema=SAMPLE)):
        read = sample_table(table)
        assert set(read.column_names) >= DERIVED
        assert read.num_rows == table.num_rows


def test_groups_have_their_counts_and_nothing_stated_is_a_group_too() -> None:
    samples = pa.table({"source": ["b", "a", "a", None]})
    groups = group_table(samples, "source", np.array([True, True, False, False]))
    assert groups.to_pylist() == [
        {"source": "a", "samples": 2, "cleared": 1, "share": 0.5, "excluded_share": 0.5},
        {"source": "b", "samples": 1, "cleared": 1, "share": 0.5, "excluded_share": 0.0},
        {"source": None, "samples": 1, "cleared": 0, "share": 0.0, "excluded_share": 1.0},
    ]


def test_a_list_of_two_chunks_is_counted_for_each_of_its_entries() -> None:
    lists = pa.chunked_array([[["x", "y"]], [[], ["y"], None]], pa.list_(pa.string()))
    groups = group_table(pa.table({"declared": lists}), "declared", np.ones(4, dtype=np.bool_))
    assert [(row["declared"], row["samples"]) for row in groups.to_pylist()] == [("x", 1), ("y", 2)]
