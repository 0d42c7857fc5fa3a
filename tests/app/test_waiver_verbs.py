"""Waivers from end to end on drawings made here: asked, approved, weighed, cleared, revoked."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from rich.console import Console
from streamlit.testing.v1 import AppTest

from app import report, view
from app.clearing import clear, waiting
from app.verbs.waiver import waiver as verbs
from app.waiver_rows import waiver_rows
from app.workflow import Audited, audit
from governance.canon import sha256
from governance.clearance import Terms, check_standing, read_clearance, revoked_in
from governance.errors import EvidenceMissing, Refused, Tampered, UsageError
from governance.records import Decision
from governance.signers.keys import make_key
from governance.signers.roles import trust_key
from governance.statements import payload_of
from governance.verify import check_evidence, verify_workspace
from governance.waiving.papers import entries_on_waivers
from governance.waiving.waived import decision_waivers, standings
from governance.workspace import Workspace
from training.records.record import quiet
from training.start import host_class

pytest.importorskip("nudenet", reason="the detector's weights are not installed")
pytestmark = pytest.mark.xdist_group("waivers")  # its workspace is made once
PEOPLE = {"asha": "ml", "devi": "dpo", "lila": "legal", "omar": "owner"}
RULE, RUN_RULE = "COM-LICENCE-FORBIDDEN", "OWN-RUN-IN-INDIA"
OWN = """\
schema: pramana.policy/v1
id: own
version: '1'
regime: {name: Ours, jurisdiction: IN}
rules:
  - id: OWN-RUN-IN-INDIA
    cite: {instrument: Operator's policy}
    status: voluntary
    severity: high
    on: run
    evidence: {columns: [compute_country]}
    require: compute_country = 'IN'
    remedy: block
    waive: {roles: [legal], quorum: 1, max_days: 30}
    why: the operator trains in India
"""
TERMS = Terms(run_config="c" * 64, budget_s=60.0, host=host_class())
Verb = Callable[..., Result]


def _drawing(seed: int) -> bytes:
    shades = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(shades).resize((96, 96), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


def _write_source(folder: Path) -> None:
    folder.mkdir()
    lines = []
    for number in range(6):
        name = f"d{number}.png"
        (folder / name).write_bytes(_drawing(number))
        licence = "CC-BY-NC-4.0" if number in {1, 4} else "CC0-1.0"
        lines.append(
            {"file_name": name, "text": f"grey {number}", "license": licence, "author": "A"}
        )
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _audit(place: Path, as_of: date | None = None) -> Audited:
    return audit(
        Workspace.at(place), [str(place / "source")], packs=["commercial", str(place / "own.yaml")],
        as_of=as_of or datetime.now(UTC).date(), bars=quiet, workers=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawings, two of them under a licence that forbids this, audited; and four people."""
    place = tmp_path_factory.mktemp("waivers") / "place"
    place.mkdir()
    _write_source(place / "source")
    (place / "own.yaml").write_text(OWN)
    workspace = Workspace.at(place)
    (place / "pramana.toml").write_text('operator = "a test"\ncompute_region = "IN"\n')
    for person, role in PEOPLE.items():
        public = make_key(place / f"{person}.pem", role)
        trust_key(workspace, role=role, person=person, public=public)
    _audit(place)
    with (place / "pramana.toml").open("a") as declared:
        declared.write('data_owner = "omar"\n')
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may alter, and where it stands: keys are named by their file there."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "place"))
    return tmp_path / "place"


@pytest.fixture
def verb(place: Path) -> Verb:
    """Runs `pramana waiver` there; faults of ours are raised."""

    def run(*arguments: object, answer: str = "", status: int = 0) -> Result:
        result = CliRunner().invoke(verbs, [*map(str, arguments)], obj=place, input=answer)
        if isinstance(result.exception, (Refused, UsageError, EvidenceMissing, Tampered)):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    return run


def _request(verb: Verb, rule: str = RULE, **said: object) -> str:
    words = {"reason": "the author agreed in a letter", "measure": "the letter is kept", "days": 30}
    options = [f"--{name}={value}" for name, value in {**words, **said}.items() if name != "sample"]
    options += [f"--sample={name}" for name in said.get("sample", ())]
    key = [] if "key" in said else ["--key", "asha.pem"]
    return verb("request", rule, *options, *key).output.split()[1]


@pytest.fixture
def granted(verb: Verb) -> str:
    """The id of a waiver of the licence rule that its quorum approved."""
    name = _request(verb)
    verb("approve", name[:8], "--key", "devi.pem", "--yes")
    verb("approve", name[:8], "--key", "lila.pem", "--yes")
    return name


def test_approving_shows_the_text_and_signs_for_nothing_else(verb, place):
    name = _request(verb)
    workspace = Workspace(place)
    before = workspace.ledger.size()
    refused = verb("approve", name[:8], "--key", "devi.pem", answer="n\n", status=1)
    assert workspace.ledger.size() == before
    shown = verb("approve", name[:8], "--key", "devi.pem", answer="y\n").output
    for said in (name, RULE, "2 samples", "the author agreed in a letter", "sign for it?"):
        assert said in shown
        assert said in refused.output
    text = shown[: shown.index("Approve this")].removesuffix("\n")
    assert f"signed for the text {sha256(text.encode())}" in shown


def test_waived_samples_are_cleared_and_the_audit_says_by_whom(granted, place, capsys):
    before, audited = Workspace(place).latest_decision(), _audit(place)
    assert (before.verdict, before.cleared, before.waivers) == ("pass", 4, ())
    decision = audited.decision
    assert (decision.verdict, decision.cleared) == ("pass-with-waivers", 6)
    assert decision.waivers == (granted,)
    rule = next(r for r in decision.rules if r.id == RULE)
    assert (rule.status, rule.violations, rule.waived) == ("waived", 0, 2)
    report.print_audit(Console(width=200), audited)
    printed = capsys.readouterr().out
    assert "PASS WITH WAIVERS" in printed
    assert f"{RULE}: 2 samples set aside by dpo, legal until" in printed
    assert "the author agreed in a letter; instead: the letter is kept" in printed
    told = json.loads(report.audit_json(Workspace(place), audited))
    assert [w["id"] for w in told["waivers"]] == [granted]
    assert all(check.status == 0 for check in verify_workspace(Workspace(place)))


def _taken(place: Path, decision: Decision) -> list[str]:
    rows = view.excluded(Workspace(place), decision).to_pylist()
    return [row["id"] for row in rows if row["rule"] == RULE]


@pytest.mark.slow
def test_a_waiver_for_one_sample_leaves_the_other_out(verb, place):
    one, other = _taken(place, Workspace(place).latest_decision())
    name = _request(verb, sample=[one])
    verb("approve", name, "--key", "devi.pem", "--yes")
    verb("approve", name, "--key", "lila.pem", "--yes")
    decision = _audit(place).decision
    assert (decision.verdict, decision.cleared) == ("pass-with-waivers", 5)
    assert _taken(place, decision) == [other]


@pytest.mark.slow
def test_a_waiver_short_of_its_quorum_has_no_effect_and_the_audit_says_so(verb, place):
    name = _request(verb)
    verb("approve", name, "--key", "devi.pem", "--yes")
    audited = _audit(place)
    assert (audited.decision.verdict, audited.decision.waivers) == ("pass", ())
    assert "not approved yet: 1 more" in audited.idle[0]


@pytest.mark.slow
def test_a_revoked_waiver_closes_what_stood_on_it(verb, granted, place):
    workspace = Workspace(place)
    decision = _audit(place).decision
    envelope = clear(workspace, decision, TERMS, preset="micro")
    now = datetime.now(UTC)
    clearance = read_clearance(payload_of(envelope))
    assert granted in clearance.waivers
    check_standing(envelope, workspace.ledger, now)
    assert waiting(workspace, decision, TERMS) == envelope
    verb("revoke", granted, "--reason", "a complaint", "--key", "devi.pem")
    assert granted in revoked_in(workspace.ledger)
    with pytest.raises(Refused, match=r"clearance \(7\).*waiver"):
        check_standing(envelope, workspace.ledger, now)
    assert waiting(workspace, decision, TERMS) is None
    with pytest.raises(Refused, match=r"waiver \(15\)"):
        clear(workspace, decision, TERMS, preset="micro")
    check_evidence(workspace, decision)  # what was decided was decided rightly, then
    audited = _audit(place)
    assert audited.decision.cleared == 4
    assert "was revoked" in audited.idle[0]


@pytest.mark.slow
def test_a_rule_about_runs_is_waived_for_a_clearance_that_ends_before_the_waiver(verb, place):
    workspace = Workspace(place)
    (place / "pramana.toml").write_text('compute_region = "aws:us-east-1"\ndata_owner = "omar"\n')
    with pytest.raises(Refused, match=RUN_RULE):
        clear(workspace, workspace.latest_decision(), TERMS, preset="micro")
    name = _request(verb, rule=RUN_RULE, days=1)
    verb("approve", name, "--key", "lila.pem", "--yes")
    decision = _audit(place).decision
    assert decision.verdict == "pass-with-waivers"
    (held,) = decision_waivers(workspace, decision)
    long = replace(TERMS, budget_s=23.5 * 3600)
    clearance = read_clearance(payload_of(clear(workspace, decision, long, preset="micro")))
    assert clearance.expires_at == held.request.ends_at
    with pytest.raises(Refused, match="before a run of"):
        clear(workspace, decision, replace(TERMS, budget_s=25 * 3600.0), preset="micro")


@pytest.mark.slow
def test_a_waiver_that_ended_is_told_by_an_audit_of_a_later_day(granted, place):
    later = datetime.now(UTC).date() + timedelta(days=31)
    audited = _audit(place, later)
    assert audited.decision.waivers == ()
    assert "ended at" in audited.idle[0]
    assert _audit(place, later - timedelta(days=2)).decision.waivers == (granted,)


@pytest.mark.slow
def test_a_waiver_is_for_the_snapshot_it_names(granted, place):
    (place / "source" / "d9.png").write_bytes(_drawing(9))
    with (place / "source" / "metadata.jsonl").open("a") as listing:
        listing.write(json.dumps({"file_name": "d9.png", "text": "x", "license": "CC0-1.0"}) + "\n")
    audited = _audit(place)
    assert audited.decision.waivers == ()
    assert "it is about the snapshot" in audited.idle[0]


@pytest.mark.slow
def test_a_policy_that_was_edited_takes_a_new_waiver(verb, place):
    name = _request(verb, rule=RUN_RULE)
    verb("approve", name, "--key", "lila.pem", "--yes")
    (place / "own.yaml").write_text(OWN + "# an edit\n")
    audited = _audit(place)
    assert audited.decision.waivers == ()
    assert "edited since" in audited.idle[0]


@pytest.mark.parametrize(
    ("wrong", "options", "told"),
    [
        (UsageError, {"rule": "COM-NONE"}, "names none of its rules"),
        (UsageError, {"rule": "dpdp/COM-LICENCE-FORBIDDEN"}, "names none"),
        (Refused, {"rule": "PRAMANA-COVERAGE"}, "by construction"),
        (Refused, {"rule": "COM-CAPTION"}, "never be waived"),
        (Refused, {"rule": "CS-SUSPECTED"}, "never be waived"),
        (UsageError, {"rule": "COM-OPTOUT"}, "no sample"),
        (UsageError, {"days": 181}, "1 to 180 days"),
        (UsageError, {"sample": ["nobody"]}, "1 of the samples named"),
        (UsageError, {"rule": RUN_RULE, "sample": ["d1.png"]}, "about the run"),
        (UsageError, {"rule": "COM-EXCLUDED-SHARE"}, "is satisfied"),
        (UsageError, {"reason": ""}, "gives its reason"),
        (UsageError, {"measure": "a\nb"}, "gives its measure"),
        (EvidenceMissing, {"key": "nowhere.pem"}, "not here"),
    ],
    ids=[
        "no such rule", "another policy's", "by construction", "never", "child safety",
        "nothing violates", "too long", "other sample", "sample of a run", "satisfied",
        "no reason", "two lines", "no key",
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_told_and_nothing_is_filed(verb, place, wrong, options, told):
    before = entries_on_waivers(Workspace(place).ledger)
    with pytest.raises(wrong, match=told):
        _request(verb, **options)
    assert entries_on_waivers(Workspace(place).ledger) == before


def test_nobody_can_ask_until_somebody_owns_the_data(verb, place):
    (place / "pramana.toml").write_text('operator = "a test"\n')
    with pytest.raises(EvidenceMissing, match="data_owner"):
        _request(verb)
    (place / "pramana.toml").write_text('data_owner = "zoe"\n')
    with pytest.raises(Refused, match=r"waiver \(5\)"):
        _request(verb)


@pytest.mark.parametrize(
    ("key", "check"),
    [("asha.pem", 11), ("omar.pem", 11), ("stranger.pem", "unknown")],
    ids=["who asks", "who owns the data", "a stranger"],
)
def test_who_may_not_approve_is_refused_at_once(verb, place, key, check):
    make_key(place / "stranger.pem", "dpo")
    name = _request(verb)
    before = Workspace(place).ledger.size()
    with pytest.raises(Refused, match=rf"waiver \({check}\)|{check} to the trust"):
        verb("approve", name, "--key", key, "--yes")
    assert Workspace(place).ledger.size() == before


def test_the_list_shows_quorum_days_and_renewals(verb, granted, place):
    again, rejected = _request(verb, days=10), _request(verb, days=20)
    verb("reject", rejected, "--reason", "one is enough", "--key", "lila.pem")
    text = verb("list").output
    assert f"{granted[:12]}  ◐ active" in text
    assert "approved 0 of 2, 2 more, among them dpo" in text
    rows = {row["id"]: row for row in json.loads(verb("list", "--json").output)}
    states = [rows[name]["state"] for name in (granted, again, rejected)]
    assert states == ["◐ active", "○ requested", "✕ rejected"]
    assert [rows[name]["before"] for name in (granted, again)] == [0, 1]
    assert rows[granted]["days_left"] == 29
    assert rows[again]["soon"]
    assert next(iter(rows)) == again  # what ends soon is first
    assert rows[again]["command"] == f"pramana waiver approve {again[:12]} --key YOUR-KEY.pem"
    for person in PEOPLE:
        assert person not in text
    with pytest.raises(UsageError, match="0 waivers begin"):
        verb("approve", "abcdef", "--key", "devi.pem")


@pytest.mark.slow
def test_the_same_samples_can_be_asked_for_again_before_the_waiver_ends(verb, granted, place):
    _audit(place)
    again = _request(verb)
    first, second = (standing.waiver.request for standing in standings(Workspace(place)))
    assert (first.id, second.id) == (granted, again)
    assert second.samples == first.samples
    assert (first.renewals, second.renewals) == (0, 1)


def _object(workspace: Workspace, name: str) -> Path:
    return workspace.state / "objects" / "sha256" / name[:2] / name


@pytest.mark.slow
def test_an_erased_document_takes_the_waiver_with_it(granted, place):
    workspace = Workspace(place)
    name = str(entries_on_waivers(workspace.ledger)[0].body["document"])
    _object(workspace, name).unlink()
    (standing,) = standings(workspace)
    assert standing.waiver is None
    (row,) = waiver_rows([standing], datetime.now(UTC))
    assert (row.state, row.rule) == ("✕ does not hold", f"commercial/{RULE}")
    audited = _audit(place)
    assert audited.decision.waivers == ()
    assert "are gone" in audited.idle[0]


@pytest.mark.slow
def test_a_list_of_samples_that_was_altered_is_noticed(granted, place):
    workspace, decision = Workspace(place), _audit(place).decision
    (waiver,) = decision_waivers(workspace, decision)
    path = _object(workspace, waiver.request.samples)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"d1", b"d2"))
    with pytest.raises(Tampered):
        check_evidence(workspace, decision)


@pytest.mark.slow
def test_the_page_shows_what_waits_and_what_ends_first(verb, granted, place, monkeypatch):
    _audit(place)
    _request(verb, days=5)
    monkeypatch.setenv("PRAMANA_WORKSPACE", str(place))
    pages = Path(view.__file__).parent / "screens" / "pages.py"
    findings = AppTest.from_file(pages, default_timeout=30).run()
    assert not findings.exception
    assert findings.header[0].value == ":orange[◐ PASS WITH WAIVERS]"
    assert "Waivers" in [heading.value for heading in findings.subheader]
    assert findings.dataframe[0].value["by"].tolist() == ["dpo, legal"]
    page = findings.switch_page("waivers.py").run()
    assert not page.exception
    assert page.dataframe[0].value["state"].tolist() == ["○ requested", "◐ active"]
    assert "1 end within 14 days." in page.warning[0].value
