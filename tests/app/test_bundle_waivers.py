"""Waivers and withdrawals in a bundle: their papers are proved, and the card prints them."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from governance.canon import canonical, sha256
from governance.cards.bundle import make_bundle
from governance.cards.verification import verify_bundle
from governance.records import Decision, PolicyUsed
from governance.rights.requests import Request as Withdrawing
from governance.rights.requests import withdraw
from governance.signers.keys import signer_at
from governance.signers.salts import tag
from governance.statements import sign
from governance.trail.ledger import Ledger
from governance.waiving.papers import APPROVED, REQUESTED, act_body, requested_body
from governance.waiving.waivers import Act, Request, clause_of, sample_list, sample_root, shown
from governance.workspace import Workspace

RUN = "run-2026-11-23-micro"
Insider = Callable[[Path], None]
PEOPLE = {"asha": "ml", "omar": "owner", "devi": "dpo", "lila": "legal"}
RULE = "COM-OPTOUT"
POLICY = b"""\
schema: pramana.policy/v1
id: commercial
version: '2'
regime: {name: Ours, jurisdiction: IN}
rules:
  - id: COM-OPTOUT
    cite: {instrument: Operator's policy}
    status: voluntary
    severity: high
    on: sample
    evidence: {columns: [opted_out]}
    require: NOT opted_out
    remedy: exclude
    waive: {roles: [dpo, legal], quorum: 2, including: [dpo], max_days: 90}
    why: whoever holds the rights said no
"""


def _waive(workspace: Workspace, ledger: Ledger, decision: Decision) -> Decision:
    """Let people ask for a waiver and approve it, and decide on it."""
    keyring = workspace.keyring
    keys = {p: signer_at(keyring.enrol(role, p)[1]) for p, role in PEOPLE.items()}
    manifest = workspace.snapshot(decision.snapshot).manifest()
    listed = sample_list(manifest, manifest["id"].to_pylist()[:3])
    clause, size = clause_of(POLICY, RULE), ledger.size()
    request = Request(
        about="samples", subject=sample_root(listed), policy="commercial",
        policy_sha256=workspace.store(POLICY), rule=RULE, decision=decision.id,
        snapshot=decision.snapshot, count=3, samples=workspace.store(listed),
        reason="<b>the holder</b> allowed it in writing", measure="the letters are kept",
        ends_at="2026-12-20T00:00:00.000+00:00", owner="omar", requester="asha",
        roles=clause.roles, including=clause.including, quorum=clause.quorum,
        max_days=clause.max_days, renewals=0, size=size, root=ledger.root(size).hex(), nonce="0",
    )  # fmt: skip
    envelope = sign(request.payload(), keys["asha"])
    workspace.store(envelope)
    tags = {
        name: tag(workspace.salts, who) for name, who in (("person", "asha"), ("owner", "omar"))
    }
    parties = {p: str(signer.public_key.keyid) for p, signer in keys.items()}
    told = requested_body(request, envelope, key=parties["asha"], owner_key=parties["omar"])
    ledger.append(REQUESTED, {**told, **tags})
    for person in ("devi", "lila"):
        size = ledger.size()
        act = Act(
            waiver=request.id, verb="approve", person=person, role=PEOPLE[person],
            shown=sha256(shown(request, clause).encode()), reason="", size=size,
            root=ledger.root(size).hex(), nonce=person,
        )  # fmt: skip
        envelope = sign(act.payload(), keys[person])
        workspace.store(envelope)
        body = act_body(act, envelope, key=parties[person])
        ledger.append(APPROVED, {**body, "person": tag(workspace.salts, person)})
    judge = PolicyUsed(id="commercial", version="2", source="own.yaml", sha256=sha256(POLICY))
    rules = (replace(r, waived=3) if r.id == RULE else r for r in decision.rules)
    return replace(
        decision, policies=(judge, *decision.policies[1:]), rules=tuple(rules),
        waivers=(request.id,), verdict="pass-with-waivers",
    )  # fmt: skip


@pytest.fixture(scope="module")
def waived(build: Callable[..., Workspace], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(tmp_path_factory.mktemp("waived"), amend=_waive)


@pytest.fixture
def exported(waived: Workspace, tmp_path: Path) -> tuple[Workspace, Path]:
    """A bundle whose decision stands on a waiver; `bundle` makes a copy of it."""
    return waived, make_bundle(waived, waived.runs / RUN, tmp_path / "exported")


def _failed(bundle: Path) -> dict[str, str]:
    return {c.what.partition(":")[0]: c.detail for c in verify_bundle(bundle) if c.status}


def _shell(bundle: Path) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(bundle / "verify.sh")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_bundle_proves_its_waivers_and_the_card_prints_them(bundle: Path) -> None:
    assert _failed(bundle) == {}
    card = (bundle / "README.md").read_text()
    assert "COM-OPTOUT of commercial | 3 | dpo, legal | &#60;b&#62;the holder&#60;/b&#62;" in card
    assert "the letters are kept | 2026-12-20T00:00:00.000+00:00 |" in card
    assert "| COM-OPTOUT | violated | 8 and 3 waived |" in card


def test_the_shell_script_checks_the_signatures_on_a_waiver_too(bundle: Path) -> None:
    ended = _shell(bundle)
    assert (ended.returncode, ended.stderr) == (0, "")
    for role in ("ml", "dpo", "legal"):
        assert f"signed by keys/{role}-" in ended.stdout
    assert ended.stdout.count("✓ ledger/waiver-") == 3


def _papers(bundle: Path) -> Path:
    (folder,) = (bundle / "evidence" / "waivers").iterdir()
    return folder


def _index(change: Callable[[dict[str, list[object]]], object]) -> Callable[[Path], None]:
    def act(bundle: Path) -> None:
        path = _papers(bundle) / "papers.json"
        found = json.loads(path.read_bytes())
        change(found)
        path.write_bytes(canonical(found))

    return act


def _say_more(bundle: Path) -> None:
    path = _papers(bundle) / "waiver.json"
    path.write_bytes(canonical({**json.loads(path.read_bytes()), "count": 2}))


def _no_consistency(bundle: Path) -> None:
    path = min((bundle / "ledger").glob("*.consistency"))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


ATTACKS = {
    "an approval left out": ("waiver (14)", _index(lambda found: found["acts"].pop())),
    "other words than were signed": ("not what its papers say", _say_more),
    "a document removed": (
        "is not there",
        lambda b: max(_papers(b).glob("*.sigstore.json")).unlink(),
    ),
    "an index that does not read": ("does not read", _index(lambda found: found.pop("acts"))),
    "an act from after the decision": (
        "came after the decision",
        _index(lambda found: found["acts"][0].update(number=400)),
    ),
    "a cited ledger that is not proved": ("does not extend", _no_consistency),
}


@pytest.mark.parametrize(("said", "attack"), ATTACKS.values(), ids=ATTACKS.keys())
def test_papers_that_do_not_hold_are_noticed(
    bundle: Path, insider: Insider, said: str, attack: Callable[[Path], object]
) -> None:
    attack(bundle)
    insider(bundle)
    failed = _failed(bundle)
    assert said in failed["waivers"]


def test_an_approval_whose_proof_fails_does_not_count(bundle: Path, insider: Insider) -> None:
    path = max((bundle / "ledger").glob("waiver-*.leaf"))
    path.write_bytes(path.read_bytes().replace(b'"at":"2026', b'"at":"2025'))
    insider(bundle)
    assert {"waivers", "ledger"} <= _failed(bundle).keys()
    assert _shell(bundle).returncode == 4


def test_what_was_withdrawn_since_stands_on_the_card(copy: Workspace, tmp_path: Path) -> None:
    decision = copy.latest_decision()
    image = copy.cleared(decision)["sha256"][0].as_py()
    now = datetime(2026, 12, 1, tzinfo=UTC)
    answer = withdraw(copy, Withdrawing(images=(image,), by="a person"), now=now)
    bundle = make_bundle(copy, copy.runs / RUN, tmp_path / "card")
    card = (bundle / "README.md").read_text()
    assert "## Withdrawn since" in card
    assert f"| 1 | {answer.withdrawals[0].task} | {answer.withdrawals[0].record} |" in card
    assert _failed(bundle) == {}
    assert f"✓ ledger/withdrawn-{answer.withdrawals[0].record[:12]}.leaf" in _shell(bundle).stdout
    assert json.loads((bundle / "bom.cdx.json").read_bytes())["version"] == 2


def test_a_withdrawal_the_ledger_does_not_hold_is_noticed(
    copy: Workspace, insider: Insider, tmp_path: Path
) -> None:
    image = copy.cleared(copy.latest_decision())["sha256"][0].as_py()
    withdraw(copy, Withdrawing(images=(image,), by="x"), now=datetime(2026, 12, 1, tzinfo=UTC))
    bundle = make_bundle(copy, copy.runs / RUN, tmp_path / "card")
    path = bundle / "evidence" / "withdrawals.json"
    (row,) = json.loads(path.read_bytes())
    path.write_bytes(canonical([{**row, "record": row["record"][:12] + "0" * 52}]))
    assert {"ledger", "card"} <= _failed(bundle).keys()
