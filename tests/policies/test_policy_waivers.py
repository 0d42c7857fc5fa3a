"""Waivers weighed: what they set aside, and every reason for which one has no effect."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest

from governance.errors import UsageError
from governance.records import Exemption, RuleResult
from policies.decide import Judgement, judge, judge_run
from policies.evidence import SAMPLE
from policies.rules import Pack, load_pack, pack_names, read_pack

TODAY, SNAPSHOT = date(2026, 11, 23), "a" * 64
WAIVE = "waive: {roles: [legal], max_days: 30}"
LARGE = f"on: sample, evidence: {{columns: [width_px]}}, require: width_px < 900, {WAIVE}"
SHARE = (
    f"on: snapshot, evidence: {{columns: [excluded_share]}}, require: excluded_share < 0.1, {WAIVE}"
)
CLEAN = {"decoded": True, "covered": True, "suspected": False, "width_px": 100, "source": "x"}


def pack(*rules: str, name: str = "own") -> Pack:
    """A pack of rules R-1, R-2, …, each written as its own keys beside those all have."""
    common = "cite: {instrument: test}, severity: low, status: voluntary, why: because"
    lines = "".join(f"  - {{id: R-{n}, {common}, {rule}}}\n" for n, rule in enumerate(rules, 1))
    head = f"schema: pramana.policy/v1\nid: {name}\nversion: '1'\n"
    regime = "regime: {name: Ours, jurisdiction: IN}\n"
    return read_pack(f"{head}{regime}rules:\n{lines}".encode(), source=f"{name}.yaml")


def table(**changed: Mapping[str, object]) -> pa.Table:
    """Two clean samples, `ok` and `ok2`, and one for each name given, with what is changed."""
    rows = [{"id": "ok", **CLEAN}, {"id": "ok2", **CLEAN}]
    rows += [{"id": name, **CLEAN, **row} for name, row in changed.items()]
    return pa.Table.from_pylist(rows, schema=SAMPLE)


TWO = table(a={"width_px": 1000}, b={"width_px": 2000})


def waiver(judge_pack: Pack, *samples: str, name: str = "w", rule: str = "R-1") -> Exemption:
    return Exemption(
        id=name * 64, policy=judge_pack.id, policy_sha256=judge_pack.source.used.sha256, rule=rule,
        snapshot=SNAPSHOT, samples=samples or None,
    )  # fmt: skip


def decided(
    samples: pa.Table, judge_pack: Pack, *waivers: Exemption, as_of: date = TODAY
) -> Judgement:
    return judge(
        samples, audits_run=(), findings=(), packs=[judge_pack], as_of=as_of, snapshot=SNAPSHOT,
        waivers=waivers,
    )  # fmt: skip


def result(judgement: Judgement, name: str = "R-1") -> RuleResult:
    return next(rule for rule in judgement.rules if rule.id == name)


def out(judgement: Judgement) -> list[str]:
    return judgement.excluded["id"].to_pylist()


def test_waived_samples_are_cleared_and_counted_apart():
    own = pack(f"{LARGE}, remedy: exclude")
    plain = decided(TWO, own)
    assert (plain.verdict, out(plain), plain.waivers) == ("pass", ["a", "b"], ())
    judgement = decided(TWO, own, waiver(own, "a", "b"))
    assert judgement.verdict == "pass-with-waivers"
    assert judgement.cleared.to_pylist() == ["ok", "ok2", "a", "b"]
    assert (out(judgement), judgement.waivers, judgement.idle) == ([], ("w" * 64,), ())
    held = result(judgement)
    assert (held.status, held.violations, held.waived) == ("waived", 0, 2)
    assert held.detail.endswith("Waived by wwwwwwwwwwww.")


def test_what_nobody_waived_still_violates():
    own = pack(f"{LARGE}, remedy: exclude")
    judgement = decided(TWO, own, waiver(own, "a"))
    held = result(judgement)
    assert (held.status, held.violations, held.waived) == ("violated", 1, 1)
    assert out(judgement) == ["b"]
    assert judgement.verdict == "pass-with-waivers"
    assert held.detail.endswith("1 are waived by wwwwwwwwwwww.")


def test_a_rule_that_blocks_opens_only_when_all_of_it_is_waived():
    own = pack(f"{LARGE}, remedy: block")
    assert decided(TWO, own).verdict == "block"
    half = decided(TWO, own, waiver(own, "a"))
    assert (half.verdict, half.waivers) == ("block", ("w" * 64,))
    whole = decided(TWO, own, waiver(own, "a"), waiver(own, "b", name="v"))
    assert (whole.verdict, result(whole).status) == ("pass-with-waivers", "waived")
    assert whole.waivers == ("w" * 64, "v" * 64)
    assert whole.cleared.to_pylist() == ["ok", "ok2", "a", "b"]


def test_a_waiver_of_one_rule_does_not_reach_another():
    own = pack(f"{LARGE}, remedy: exclude", f"{LARGE}, remedy: exclude")
    judgement = decided(TWO, own, waiver(own, "a", "b"))
    assert judgement.excluded["rule"].to_pylist() == ["R-2", "R-2"]
    assert judgement.cleared.to_pylist() == ["ok", "ok2"]


def test_waived_samples_leave_room_in_a_tolerance():
    own = pack(f"{LARGE}, remedy: block, tolerance: 1")
    assert decided(TWO, own).verdict == "block"
    judgement = decided(TWO, own, waiver(own, "a"))
    assert (judgement.verdict, result(judgement).status) == ("pass-with-waivers", "waived")
    assert result(judgement).violations == 1


def test_a_rule_about_the_snapshot_is_waived_as_a_whole():
    own = pack(f"{LARGE}, remedy: exclude", f"{SHARE}, remedy: block")
    assert decided(TWO, own).verdict == "block"
    judgement = decided(TWO, own, waiver(own, rule="R-2"))
    assert judgement.verdict == "pass-with-waivers"
    held = result(judgement, "R-2")
    assert (held.status, held.violations, held.waived) == ("waived", 0, 1)
    assert "The snapshot violates it (excluded_share = 0.5). Waived by" in held.detail


def test_a_rule_about_groups_is_waived_as_a_whole():
    own = pack(
        f"on: group(source), evidence: {{columns: [source, samples]}}, require: samples > 3, "
        f"remedy: block, {WAIVE}"
    )
    samples = table(a={"source": "y"}, b={"source": "z"})
    assert (decided(samples, own).verdict, result(decided(samples, own)).violations) == ("block", 3)
    judgement = decided(samples, own, waiver(own))
    assert (judgement.verdict, result(judgement).waived) == ("pass-with-waivers", 3)


RUN = f"on: run, evidence: {{columns: [compute_country]}}, require: compute_country = 'IN', {WAIVE}"


def test_a_rule_about_runs_is_waived_for_the_run():
    own = pack(f"{RUN}, remedy: block", f"{LARGE}, remedy: record")
    abroad = {"compute_region": "aws:us-east-1"}
    (blocked,) = judge_run(abroad, packs=[own], as_of=TODAY)
    assert blocked.status == "violated"
    judgement = decided(table(), own, waiver(own))
    assert (judgement.verdict, judgement.waivers) == ("pass-with-waivers", ("w" * 64,))
    held = result(judgement)
    assert (held.status, held.waived) == ("at-run", 0)
    assert "waived by wwwwwwwwwwww" in held.detail
    (waived,) = judge_run(abroad, packs=[own], as_of=TODAY, waivers=[waiver(own)])
    assert (waived.status, waived.violations) == ("waived", 0)
    (edited,) = judge_run(
        abroad, packs=[own], as_of=TODAY, waivers=[replace(waiver(own), policy_sha256="0" * 64)]
    )
    assert edited.status == "violated"


def test_a_run_without_its_facts_is_not_waived():
    own = pack(f"on: run, evidence: {{columns: [egress]}}, require: egress, remedy: block, {WAIVE}")
    (held,) = judge_run({}, packs=[own], as_of=TODAY, waivers=[waiver(own)])
    assert (held.status, held.waived) == ("violated", 0)


OWN = pack(f"{LARGE}, remedy: exclude", f"{SHARE}, remedy: record")
NEVER = pack(LARGE.replace(WAIVE, "waive: never") + ", remedy: exclude", f"{SHARE}, remedy: record")
SAFETY = pack(f"{LARGE}, remedy: exclude", f"{SHARE}, remedy: record", name="child-safety")
LATER = pack(f"{LARGE}, remedy: exclude, applies_from: 2027-05-13", f"{SHARE}, remedy: record")
UNMEASURED = pack(
    f"{LARGE.replace('{columns', '{audit: nsfw, columns')}, remedy: exclude",
    f"{SHARE}, remedy: record",
)
ABSENT = pack(LARGE.replace("width_px", "width_cm") + ", remedy: exclude")
ABSENT_GROUP = pack(
    f"on: group(colour), evidence: {{columns: [colour, samples]}}, require: samples > 3, "
    f"remedy: block, {WAIVE}"
)
BOTH = waiver(OWN, "a", "b")
SUSPECTED = table(a={"width_px": 1000}, b={"width_px": 2000, "suspected": True})
READS_SUSPECTED = pack(
    "on: sample, evidence: {columns: [width_px, suspected]}, "
    f"require: NOT suspected AND width_px < 900, remedy: exclude, {WAIVE}",
    f"{SHARE}, remedy: record",
)
MISSES = {
    "policy edited": (TWO, OWN, replace(BOTH, policy_sha256="0" * 64), "edited since"),
    "other policy": (TWO, OWN, replace(BOTH, policy="dpdp"), "did not judge"),
    "other snapshot": (TWO, OWN, replace(BOTH, snapshot="b" * 64), "snapshot bbbbbbbbbbbb"),
    "other rule": (TWO, OWN, replace(BOTH, rule="R-2"), "names the whole snapshot"),
    "no such rule": (TWO, OWN, replace(BOTH, rule="R-9"), "no rule 'R-9'"),
    "by construction": (
        TWO, OWN, replace(BOTH, policy="pramana", rule="PRAMANA-COVERAGE"), "did not judge",
    ),
    "whole snapshot for samples": (TWO, OWN, replace(BOTH, samples=None), "names samples"),
    "no sample": (TWO, OWN, replace(BOTH, samples=()), "0 of the 0"),
    "sample that does not violate": (TWO, OWN, waiver(OWN, "a", "b", "ok"), "1 of the 3"),
    "sample of elsewhere": (TWO, OWN, waiver(OWN, "a", "zz"), "1 of the 2"),
    "one sample twice": (TWO, OWN, waiver(OWN, "a", "a"), "1 of the 2"),
    "never": (TWO, NEVER, waiver(NEVER, "a"), "never be waived"),
    "child-safety pack": (TWO, SAFETY, waiver(SAFETY, "a"), "never be waived"),
    "suspected sample": (SUSPECTED, OWN, BOTH, "suspected"),
    "suspected, by a rule that reads it": (
        SUSPECTED, READS_SUSPECTED, waiver(READS_SUSPECTED, "a", "b"), "suspected",
    ),
    "not in force": (TWO, LATER, waiver(LATER, "a"), "not in force"),
    "audit not run": (TWO, UNMEASURED, waiver(UNMEASURED, "a"), "evidence is missing"),
    "column not there": (TWO, ABSENT, waiver(ABSENT, "a"), "evidence is missing"),
    "group not there": (TWO, ABSENT_GROUP, waiver(ABSENT_GROUP), "evidence is missing"),
    "nothing violates the snapshot's rule": (
        table(), OWN, waiver(OWN, rule="R-2"), "nothing violates",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("samples", "own", "missing", "why"), MISSES.values(), ids=MISSES)
def test_a_waiver_that_misses_has_no_effect_and_says_why(samples, own, missing, why):
    judgement, plain = decided(samples, own, missing), decided(samples, own)
    assert (judgement.verdict, judgement.rules) == (plain.verdict, plain.rules)
    assert (out(judgement), judgement.waivers) == (out(plain), ())
    (sentence,) = judgement.idle
    assert sentence.startswith("Waiver wwwwwwwwwwww has no effect: ")
    assert why in sentence


def test_a_waiver_with_one_suspected_sample_sets_nothing_aside_and_clears_nothing_suspected():
    judgement = decided(SUSPECTED, OWN, BOTH, waiver(OWN, "a", name="v"))
    assert judgement.cleared.to_pylist() == ["ok", "ok2", "a"]
    assert judgement.waivers == ("v" * 64,)


@pytest.mark.parametrize(
    ("severity", "waive", "works"),
    [
        ("critical", "{roles: [dpo, legal], quorum: 2, including: [dpo], max_days: 30}", True),
        ("critical", "{roles: [dpo], quorum: 3, including: [dpo], max_days: 30}", True),
        ("critical", "never", True),
        ("critical", "{roles: [dpo, legal], quorum: 2, max_days: 30}", False),
        ("critical", "{roles: [dpo], including: [dpo], max_days: 30}", False),
        ("high", "{roles: [legal], max_days: 30}", True),
        ("high", "{roles: [legal], including: [dpo], max_days: 30}", False),
        ("high", "{roles: [legal, dpo], including: [legal, dpo], max_days: 30}", False),
        ("high", "{roles: [Legal], max_days: 30}", False),
        ("high", "{roles: [legal], quorum: 0, max_days: 30}", False),
        ("high", "{roles: [legal], max_days: 181}", False),
        ("high", "{roles: [legal], max_days: 0}", False),
    ],
    ids=[
        "two with an officer", "three officers", "never", "officer not needed", "one alone",
        "one for what is not critical", "including nobody's role", "more than the quorum",
        "a role that is no word", "no quorum", "half a year and a day", "no day",
    ],
)  # fmt: skip
def test_who_may_waive_is_written_so_that_it_can_be_met(severity, waive, works):
    data = pack(f"{LARGE}, remedy: exclude").source.data.decode()
    data = data.replace(WAIVE, f"waive: {waive}")
    data = data.replace("severity: low", f"severity: {severity}")
    if works:
        assert read_pack(data.encode(), source="own.yaml")
        return
    with pytest.raises(UsageError, match="waive"):
        read_pack(data.encode(), source="own.yaml")


def test_whoever_owns_the_data_is_no_role_of_a_pack():
    roles = {
        role
        for name in pack_names()
        for rule in load_pack(name).rules
        if rule.waive != "never"
        for role in rule.waive.roles
    }
    assert roles == {"dpo", "legal", "data-steward", "trust-and-safety"}
