"""The waivers of a workspace: which are in force on a snapshot, held to its very samples."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from governance.canon import canonical
from governance.waiving.waived import InForce, in_force, standings
from governance.waiving.waivers import Request, sample_list, sample_root
from governance.workspace import Workspace
from office import MANY, NAMED, NOW, SNAPSHOT, Office


@pytest.fixture
def there(peoples_keys: Path, tmp_path: Path) -> Office:
    """An office that keeps its ledger and keys where a workspace looks for them."""
    workspace = Workspace.at(tmp_path)
    shutil.copytree(peoples_keys, workspace.state / "keys")
    return Office(workspace.state, workspace.ledger_url)


def _granted(there: Office, **changed: object) -> Request:
    request = there.ask(**changed)
    there.approve(request, "devi", "lila")
    return request


def _in_force(there: Office, snapshot: str = SNAPSHOT, days: int = 0) -> InForce:
    workspace = Workspace(there.folder.parent)
    for data in there.objects.values():
        workspace.store(data)
    return in_force(workspace, snapshot, MANY, now=NOW + timedelta(days=days))


def _named_otherwise(leaf: str = "", name: str = "") -> bytes:
    """A list in which the leaf or the id of one sample is another one."""
    (its_leaf, its_name), other = json.loads(sample_list(MANY, NAMED))
    return canonical(sorted([[leaf or its_leaf, name or its_name], other]))


def test_an_active_waiver_sets_aside_the_samples_it_names(there):
    request = _granted(there)
    found = _in_force(there)
    (exemption,) = found.active
    assert (exemption.id, exemption.rule, exemption.snapshot) == (request.id, "COM-NSFW", SNAPSHOT)
    assert set(exemption.samples or ()) == set(NAMED)
    assert ([waiver.id for waiver in found.waivers], found.idle) == ([request.id], ())


@pytest.mark.parametrize(
    "change",
    [{"leaf": "0" * 128}, {"name": "s5"}, {"name": "nobody"}],
    ids=["other bytes or caption", "another sample's leaf", "a sample of elsewhere"],
)
def test_samples_are_held_to_the_snapshot_with_all_that_is_said_of_them(there, change):
    listed = _named_otherwise(**change)
    _granted(there, samples=there.keep(listed), subject=sample_root(listed))
    found = _in_force(there)
    assert found.active == ()
    assert "waiver (20)" in found.idle[0]


def test_what_is_over_is_told_on_its_own_snapshot_only(there):
    _granted(there)
    late = _in_force(there, days=31)
    assert (late.active, len(late.idle)) == ((), 1)
    assert "waiver (16)" in late.idle[0]
    assert _in_force(there, "b" * 64, days=31).idle == ()
    (elsewhere,) = _in_force(there, "b" * 64).active
    assert elsewhere.snapshot == SNAPSHOT  # the rules say that it is about another


def test_a_request_that_stands_twice_in_the_ledger_counts_once(there):
    request = _granted(there)
    there.told("waiver.requested", request, there.key("asha"))
    assert len(_in_force(there).active) == 1
    assert len(standings(Workspace(there.folder.parent))) == 1
