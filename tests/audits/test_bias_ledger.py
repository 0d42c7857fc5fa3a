"""What is declared of people stays in the measures: the ledger is for everybody to read."""

import json
from datetime import date

import pytest

from app.workflow import audit
from governance.workspace import Workspace
from made import folder_of
from training.records.record import quiet

SECRET = "zzkinnar"  # noqa: S105  a word that stands nowhere else


@pytest.mark.slow
def test_no_declared_value_and_no_caption_enters_the_ledger(tmp_path):
    names = [f"{n}.png" for n in range(40)]
    records = [
        {"file_name": name, "gender": SECRET, "religion": f"{SECRET}-r", "caption": f"{SECRET}-c"}
        for name in names
    ]
    source = folder_of(tmp_path / "set", records, pictures=names)
    workspace = Workspace.at(tmp_path)
    audited = audit(
        workspace, [str(source)], packs=["commercial"], as_of=date(2026, 11, 22), bars=quiet
    )
    names_of_groups = {finding.name for finding in audited.findings if finding.audit == "bias"}
    assert f"gender={SECRET} retention" in names_of_groups  # it was read, counted and judged
    entries = workspace.ledger.entries()
    assert {"sealed", "measured", "decided"} <= {entry.kind for entry in entries}
    assert SECRET not in json.dumps([dict(entry.body) for entry in entries])
    files = [path for path in workspace.state.iterdir() if path.name.startswith("ledger.db")]
    assert files
    assert not [path.name for path in files if SECRET.encode() in path.read_bytes()]
