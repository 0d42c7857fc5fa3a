"""The red team: every attack is stopped, the list is whole, and the tool says when one is not."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.redteam import limits, table
from app.redteam.attack import Attack, Unharmed, tried
from app.redteam.ground import Grounds, elsewhere
from app.redteam.scratch import Scratch
from app.verbs.redteam import redteam
from governance.errors import EvidenceMissing, Refused, Tampered, UsageError
from governance.workspace import Workspace

# Every row of the threat list, by a short name, and what was asked for beside it.
THREATS = {
    "file swapped after the audit", "race between check and use", "unaudited file, omitted row",
    "findings, policy or clearance edited", "clearance signed by another role",
    "clearance replayed", "stolen gate key", "log cut off or rewritten", "log row edited",
    "approval backdated", "own approval, collusion", "waiver expired or reused",
    "NULL or NaN score", "training on raw data", "weights swapped", "malicious pickle",
    "link, FIFO, device", "bomb, zip slip", "polyglot", "escapes in captions", "path traversal",
    "duplicate keys, confusables", "plugin or detector weights changed", "poisoning, evasion",
    "revoked clearance or key", "unwitnessed ledger", "old or forged trust file",
    "sealed shards read", "erased or withdrawn sample", "suspected sample", "deadline moved",
    "bundle edited", "proof of another act", "names in the trail", "teacher without a licence",
}  # fmt: skip


def test_every_threat_on_the_list_has_an_attack_or_a_documented_limit() -> None:
    run = {attack.threat for attack in table.ATTACKS}
    told = {limit.threat for limit in limits.LIMITS}
    assert run | told == THREATS
    assert THREATS - run == {"poisoning, evasion"}


def test_each_attack_has_a_name_of_its_own_and_says_what_must_hold() -> None:
    names = [attack.name for attack in (*table.ATTACKS, *limits.LIMITS)]
    assert sorted(set(names)) == sorted(names)
    assert all(attack.holds for attack in table.ATTACKS)
    assert all((attack.error is None) == (attack.check == "") for attack in table.ATTACKS)
    assert all(limit.why for limit in limits.LIMITS)


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory):
    """Scratch ground that the tests of this file share; every copy is fresh."""
    root = tmp_path_factory.mktemp("redteam")
    with elsewhere(root):
        yield Grounds(root)


@pytest.mark.slow
@pytest.mark.xdist_group("redteam")
def test_every_attack_is_stopped(grounds: Grounds) -> None:
    found = [tried(attack, grounds.copy(attack.ground)) for attack in table.ATTACKS]
    failed = [f"{o.threat}: {o.name}: {o.by}" for o in found if o.ended != "stopped"]
    assert not failed, "\n".join(failed)


def _named(name: str) -> Attack:
    return next(attack for attack in table.ATTACKS if attack.name == name)


KNOCKED_OUT: dict[str, tuple[str, ...]] = {  # an attack, and what is taken away so that it succeeds
    "the whole log is written anew with its own key": ("governance.trail.memory.Memory.check",),
    "the trust file from before a revocation is put back": (
        "governance.trail.memory.Memory._check_trust",
        "governance.clearance._named_by",
    ),
    "the act that revoked it is hidden in the database": ("governance.trail.ledger.Ledger.verify",),
    "a second run uses it": (
        "governance.trail.ledger.Ledger.spent",
        "governance.trail.ledger.Ledger.spend",
    ),
    "a run goes on after its clearance was revoked": ("training.records.telling.check_standing",),
    "a revoked clearance is used": ("governance.clearance._named_by",),
    "a stolen gate key signs, and the ledger is not told": ("governance.clearance._check_logged",),
    "it is written anew, and an auditor kept a checkpoint": (
        "governance.trail.merkle.check_consistency",
    ),
    "a proof is shown with another act": ("governance.trail.merkle.check_inclusion",),
    "a cosignature is forged": ("governance.trail.note._verify",),
    "a row of measures is left out": ("app.clearing.check_evidence",),
    "a policy's file is edited after the decision": ("app.clearing._check_policies",),
    "somebody signs for another text than was shown": ("governance.waiving.approvals._check_seen",),
    "the budget in the run's record is raised": ("training.start._told",),
    "keys are asked for without a run": ("governance.sealing.release._running",),
    "a teacher's folder is swapped after it was cleared": ("training.taught.weights._kind",),
    "a run config names weights that its clearance does not": (
        "governance.clearance._check_weights",
    ),
    "the card is made kinder": ("governance.cards.verification._check_rendered",),
}
EMPTY = {
    "spent": dict,
    "_named_by": set,
    "_told": list,
    "_running": str,
    "_kind": lambda: "t5",
}  # what a check returns that sees nothing


def _blind(name: str) -> Callable[..., object]:
    """Return what stands in for a check that is gone."""
    empty = EMPTY.get(name.rpartition(".")[2], lambda: None)
    return lambda *_arguments, **_named: empty()


@pytest.mark.slow
@pytest.mark.xdist_group("redteam")
@pytest.mark.parametrize(("name", "checks"), KNOCKED_OUT.items(), ids=KNOCKED_OUT)
def test_with_its_check_knocked_out_an_attack_is_not_stopped(
    grounds: Grounds, monkeypatch: pytest.MonkeyPatch, name: str, checks: tuple[str, ...]
) -> None:
    attack = _named(name)
    scratch = grounds.copy(attack.ground)
    for check in checks:
        monkeypatch.setattr(check, _blind(check))
    outcome = tried(attack, scratch)
    assert (outcome.ended, outcome.by) == ("not stopped", "The victim noticed nothing.")


SCRATCH = Scratch(Path("nowhere"))


def _attack(act: Callable[[Scratch], Callable[[], object]], **said: object) -> Attack:
    told = {"name": "a made attack", "threat": "made", "holds": "nothing", **said}
    return Attack(act=act, **told)


def _raises(fault: Exception) -> Callable[[], object]:
    def victim() -> object:
        raise fault

    return victim


@pytest.mark.parametrize(
    ("attack", "by"),
    [
        (_attack(lambda _: lambda: None), "noticed nothing"),
        (_attack(lambda _: lambda: True), "noticed nothing"),
        (_attack(lambda _: _raises(Refused("another (1)")), error=Refused, check="check (2)"),
         "Another check answered"),
        (_attack(lambda _: _raises(Tampered("check (2)")), error=Refused, check="check (2)"),
         "Another check answered"),
        (_attack(lambda _: _raises(Refused("check (2)"))), "Another check answered"),
        (_attack(lambda _: _raises(KeyError("x")), error=Refused, check="x"), "KeyError"),
        (_attack(lambda _: lambda: Unharmed("x"), error=Refused, check="x"), "noticed nothing"),
        (_attack(lambda _: 1 / 0, error=Refused, check="x"), "could not be made"),
        (_attack(lambda s: _raises(Refused("x"))(), error=Refused, check="x"), "could not be made"),
    ],
    ids=["nothing", "a truth that nobody looked at", "another check", "another kind of error",
         "a refusal where none was due", "a traceback", "unharmed where a refusal was due",
         "a broken attack", "a refusal while the attack is made"],
)  # fmt: skip
def test_only_the_right_answer_of_the_victim_counts_as_stopped(attack: Attack, by: str) -> None:
    outcome = tried(attack, SCRATCH)
    assert outcome.ended == "not stopped"
    assert by in outcome.by


@pytest.mark.parametrize(
    ("attack", "status"),
    [
        (_attack(lambda _: _raises(Refused("check (2): no")), error=Refused, check="(2)"), 3),
        (_attack(lambda _: _raises(EvidenceMissing("gone")), error=EvidenceMissing, check="go"), 5),
        (_attack(lambda _: lambda: Unharmed("nothing was lost")), 0),
    ],
    ids=["refused", "evidence missing", "unharmed"],
)  # fmt: skip
def test_the_right_answer_counts_as_stopped_with_its_exit_status(
    attack: Attack, status: int
) -> None:
    outcome = tried(attack, SCRATCH)
    assert (outcome.ended, outcome.status) == ("stopped", status)


def test_a_victim_that_waits_for_ever_is_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.redteam.attack.LONGEST_S", 0.2)
    reading, _writing = os.pipe()
    outcome = tried(_attack(lambda _: lambda: os.read(reading, 1)), SCRATCH)
    assert outcome.ended == "not stopped"
    assert "nothing came back" in outcome.by


def test_attacks_are_chosen_by_a_word_of_their_name_or_threat() -> None:
    assert {attack.threat for attack in table.chosen("replayed")} >= {"clearance replayed"}
    assert table.chosen("") == table.ATTACKS
    with pytest.raises(UsageError, match="No attack is called 'xyzzy'"):
        table.chosen("xyzzy")


@pytest.fixture
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own workspace, ledger and memory, which no attack may touch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRAMANA_STATE", str(tmp_path / "memory"))
    monkeypatch.setenv("PRAMANA_LEDGER", f"sqlite:///{tmp_path}/team.db")
    place = Workspace.at(tmp_path)
    place.ledger.append("sealed", {"snapshot": "0" * 64})
    place.memory.remember(place.ledger, place.keyring.trust())
    return tmp_path


def _bytes_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.slow
@pytest.mark.xdist_group("redteam")
def test_the_command_prints_what_stopped_each_and_leaves_the_users_own_alone(
    owned: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before, out = _bytes_of(owned), tmp_path_factory.mktemp("kept")
    said = ["--only", "replayed", "--json", "--out", str(out)]
    ended = CliRunner().invoke(redteam, said)
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert told["counts"] == {"stopped": 6, "not stopped": 0, "documented limit": 0}
    assert {row["outcome"] for row in told["outcomes"]} == {"stopped"}
    assert {row["by"] for row in told["outcomes"]} >= {"clearance (5)", "clearance (6)"}
    assert _bytes_of(owned) == before
    assert (out / "001" / "workspace" / ".pramana").is_dir()
    assert os.environ["PRAMANA_STATE"] == str(owned / "memory")
    assert os.environ["PRAMANA_LEDGER"].endswith("team.db")


@pytest.mark.parametrize(
    ("options", "word"), [(["--json"], "not stopped"), ([], "NOT STOPPED")], ids=["json", "table"]
)
def test_the_exit_status_is_1_when_an_attack_was_not_stopped(
    monkeypatch: pytest.MonkeyPatch, options: list[str], word: str
) -> None:
    made = replace(_named("a longer budget is taken"), act=lambda _: lambda: None)
    outcomes = lambda *_: iter([tried(made, SCRATCH)])  # noqa: E731
    monkeypatch.setattr("app.redteam.table.outcomes", outcomes)
    ended = CliRunner().invoke(redteam, ["--only", "budget", *options])
    assert ended.exit_code == 1
    assert word in ended.stdout
