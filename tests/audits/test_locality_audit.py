import duckdb
import pyarrow as pa
import pytest

from audits.audit import Batch
from audits.locality import REGIONS, LocalityAudit, region_of
from governance.snapshot import MANIFEST

AUDIT = LocalityAudit()


@pytest.mark.parametrize(
    ("declared", "region"),
    [
        ("aws:ap-south-1", "aws:ap-south-1"),
        (" AWS / AP-South-1 ", "aws:ap-south-1"),
        ("gcp/asia-south1-b", "gcp:asia-south1-b"),
        ("ap-south-1", "ap-south-1"),
        ("IN", "in"),
        ("\uff29\uff2e", "in"),
        ("New\u2028 Delhi", "new delhi"),
        ("", None),
        ("  ", None),
        ("unknown", None),
        ("N/A", None),
        ("x" * 500, "x" * 64),
    ],
)
def test_a_region_has_one_spelling(declared, region):
    assert region_of(declared) == region


def findings_of(*regions):
    rows = [{"id": f"{place:03}", "region": region} for place, region in enumerate(regions)]
    samples = pa.Table.from_pylist(rows, schema=MANIFEST)
    columns = AUDIT.measure(Batch(samples, (None,) * len(rows), (b"",) * len(rows)))
    measured = pa.array(columns["storage_region"], pa.string())
    with duckdb.connect() as measures:
        measures.register("measures", samples.append_column("storage_region", measured))
        return {f.name: f for f in AUDIT.conclude(measures, lambda _: None).findings}


def test_regions_are_counted_and_so_is_silence():
    findings = findings_of("IN", "in ", "aws:us-east-1", None)
    assert findings["region=in share"].value == 0.5
    assert findings["region=in share"].ids == ("000", "001")
    assert findings["region=aws:us-east-1 share"].ids == ("002",)
    assert findings["region unknown share"].ids == ("003",)
    assert "claim" in findings["region unknown share"].note


def test_nothing_unknown_is_a_finding_too():
    assert findings_of("IN")["region unknown share"].value == 0.0
    assert set(findings_of()) == {"region unknown share"}


def test_a_thousand_made_up_regions_do_not_make_a_thousand_findings():
    findings = findings_of(*(f"place {n}" for n in range(REGIONS + 20)))
    assert len(findings) == REGIONS + 2
    assert findings["region=other share"].value == pytest.approx(20 / (REGIONS + 20))
