"""The decision: every rule of every pack held against the evidence, and what is cleared.

The verdict is 'block' exactly when a rule whose remedy is 'block' is violated. What must hold
whatever the packs say (there is a rule, every sample was measured, something is left) are three
rules of our own. A rule whose evidence is missing is reported as violated, with the remedy 'block'.

Does not see: waivers. People grant them; they are weighed where their signatures are checked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from governance.canon import Json, printable
from governance.errors import UsageError
from governance.records import Finding, RuleResult, RuleStatus, Verdict
from policies.compile import Outcome, connect, evaluate, unknown
from policies.evidence import Mask, group_table, run_table, sample_table, snapshot_table, truth
from policies.reference import sources
from policies.rules import OURS, Pack, Rule, Scope, Source

WORD = pa.dictionary(pa.int32(), pa.string())  # a few texts, told of very many samples
EXCLUDED = pa.schema({"id": pa.string(), "policy": WORD, "rule": WORD, "remedy": WORD, "why": WORD})
SUSPECTED = "suspected"  # such a sample is never cleared, and only rules that read this judge it
GROUPS_NAMED = 5  # a sentence that names more of them is not read
LETTERS_NAMED = 60  # of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the rules concluded.

    `excluded` has one row for each sample and rule that takes it out, in manifest order and then in
    the order of the rules, so that a sample's first row is its reason. `cleared` are ids in
    manifest order. `texts` are the packs and tables that judged, with their bytes.
    """

    verdict: Verdict
    rules: tuple[RuleResult, ...]
    excluded: pa.Table
    cleared: pa.Array
    texts: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A rule's result, and which rows it takes out."""

    result: RuleResult
    out: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every rule of one decision is held with: the day, the audits, a sealed-off database."""

    as_of: date
    audits_run: frozenset[str]
    connection: duckdb.DuckDBPyConnection

    def hold(self, policy: str, rule: Rule, table: pa.Table) -> Held:
        """Hold a rule against the rows it is about.

        Raises:
            UsageError: its condition cannot be run on such columns.
        """
        problem = self._missing(rule, table)
        if problem:
            none = np.zeros(table.num_rows, dtype=np.bool_)
            return Held(self.unproven(policy, rule, table.num_rows, problem), none)
        when, require = rule.conditions
        try:
            outcome = evaluate(self.connection, table, when=when, require=require)
        except UsageError as fault:
            raise UsageError(f"Rule {rule.id} of policy {policy}: {fault}") from None
        if rule.scope == "sample" and SUSPECTED not in rule.reads:  # nothing else is known of these
            known = ~truth(table, SUSPECTED)
            outcome = Outcome(outcome.applies & known, outcome.violates & known)
        result = self._weighed(policy, rule, outcome, table)
        taken = rule.remedy in {"exclude", "quarantine"} or result.status == "violated"
        enforced = rule.in_force(self.as_of) and rule.remedy != "record"
        return Held(result, outcome.violates & (taken and enforced))

    def _missing(self, rule: Rule, table: pa.Table) -> str:
        absent = sorted(set(rule.evidence.audit) - self.audits_run)
        if absent and rule.scope != "run":
            return f"The audit {absent[0]!r} was not run on this snapshot; run it."
        return unknown(rule.reads, table.column_names)

    def unproven(self, policy: str, rule: Rule, rows: int, problem: str) -> RuleResult:
        """Return the result of a rule whose evidence is missing: violated, and it blocks."""
        if not rule.in_force(self.as_of):
            return _result(policy, rule, "not-in-force", detail=f"{_since(rule)} {problem}")
        result = _result(policy, rule, "violated", violations=max(rows, 1), detail=problem)
        return replace(result, remedy="block")

    def _weighed(self, policy: str, rule: Rule, outcome: Outcome, table: pa.Table) -> RuleResult:
        found, detail = int(outcome.violates.sum()), f"{_counted(rule, outcome, table)}."
        if not rule.in_force(self.as_of):
            detail = f"{_since(rule)} {detail}"
            return _result(policy, rule, "not-in-force", violations=found, detail=detail)
        tolerated = rule.tolerated(int(outcome.applies.sum()))
        if tolerated:
            detail += f" {tolerated} are tolerated."
        status: RuleStatus = "violated" if found > tolerated else "satisfied"
        return _result(policy, rule, status, violations=found, detail=detail)


def judge(
    samples: pa.Table,
    *,
    audits_run: Collection[str],
    findings: Sequence[Finding],
    packs: Sequence[Pack],
    as_of: date,
) -> Judgement:
    """Hold a snapshot against policy packs by the law of a day.

    Args:
        samples: one row a sample, in manifest order: manifest, measures, relations, and `covered`,
            which is true where every audit measured the sample.
        audits_run: the names of the audits that were run.
        findings: what the audits say of the whole set; rules read them as `finding['audit/name']`.
        packs: the policies, in the order in which their rules give a sample its reason.
        as_of: the day whose law counts.

    Raises:
        UsageError: a pack stands twice, or a condition cannot be run on the columns there are.
    """
    rules = _all_rules(packs)
    bench = Bench(as_of=as_of, audits_run=frozenset(audits_run), connection=connect())
    table, covered = sample_table(samples), truth(samples, "covered")
    held = {(p, r.id): bench.hold(p, r, table) for p, r in rules if r.scope == "sample"}
    takers = (_coverage(bench, rules, covered), *held.values())
    out = [truth(table, SUSPECTED), *(taker.out for taker in takers)]
    cleared = ~np.logical_or.reduce(out, axis=0)
    whole = snapshot_table(covered, cleared, findings)
    judged = [
        held[p, r.id].result
        if r.scope == "sample"
        else _later(bench, p, r, (table, cleared, whole))
        for p, r in rules
    ]
    results = (takers[0].result, _some_rule(judged), _something_left(cleared), *judged)
    return Judgement(
        verdict=verdict(results),
        rules=results,
        excluded=_excluded(samples["id"], takers),
        cleared=samples["id"].combine_chunks().filter(pa.array(cleared)),
        texts=(*(pack.source for pack in packs), *sources()),
    )


def judge_run(
    facts: Mapping[str, Json], *, packs: Sequence[Pack], as_of: date
) -> tuple[RuleResult, ...]:
    """Hold the rules about runs against what is known of a run: preset, budget, host, region.

    A fact that is not there is a column that is not there: the rule that reads it blocks.

    Raises:
        UsageError: a pack stands twice, or a condition cannot be run on such facts.
    """
    bench = Bench(as_of=as_of, audits_run=frozenset(), connection=connect())
    rules = [(policy, rule) for policy, rule in _all_rules(packs) if rule.scope == "run"]
    return tuple(bench.hold(policy, rule, run_table(facts)).result for policy, rule in rules)


def verdict(results: Sequence[RuleResult]) -> Verdict:
    """Return 'block' when a rule that blocks is violated, else 'pass'."""
    blocked = any(result.status == "violated" and result.remedy == "block" for result in results)
    return "block" if blocked else "pass"


def _all_rules(packs: Sequence[Pack]) -> list[tuple[str, Rule]]:
    names = [pack.id for pack in packs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"The policy {twice[0]!r} is given twice; give it once.")
    return [(pack.id, rule) for pack in packs for rule in pack.rules]


def _later(
    bench: Bench, policy: str, rule: Rule, seen: tuple[pa.Table, Mask, pa.Table]
) -> RuleResult:
    """Return the result of a rule about more than one sample, once it is known what is cleared."""
    table, cleared, whole = seen
    if rule.scope == "run":
        status: RuleStatus = "at-run" if rule.in_force(bench.as_of) else "not-in-force"
        return _result(policy, rule, status, detail="It is judged when a run asks for a clearance.")
    if rule.scope == "snapshot":
        return bench.hold(policy, rule, whole).result
    problem = unknown([rule.group], table.column_names)
    if problem:
        return bench.unproven(policy, rule, 1, problem)
    return bench.hold(policy, rule, group_table(table, rule.group, cleared)).result


def _result(
    policy: str, rule: Rule, status: RuleStatus, *, violations: int = 0, detail: str
) -> RuleResult:
    return RuleResult(
        id=rule.id,
        policy=policy,
        on=rule.scope,
        status=status,
        violations=violations,
        remedy=rule.remedy,
        severity=rule.severity,
        require=rule.text,
        cite=str(rule.cite),
        why=rule.why,
        in_force_from=rule.applies_from.isoformat() if rule.applies_from else None,
        detail=detail,
    )


def _since(rule: Rule) -> str:
    return f"From {rule.applies_from}:" if rule.status != "proposed" else "Only proposed:"


def _counted(rule: Rule, outcome: Outcome, table: pa.Table) -> str:
    """Return what was found, as the start of a sentence that a person can act on."""
    found, applicable = int(outcome.violates.sum()), int(outcome.applies.sum())
    if rule.scope in {"snapshot", "run"}:
        plain = [name for name in sorted(rule.reads) if not pa.types.is_map(table[name].type)]
        read = ", ".join(f"{name} = {table[name][0].as_py()}" for name in plain)
        return f"The {rule.scope} {'violates' if found else 'satisfies'} it ({read or 'findings'})"
    told = f"{found} of the {applicable} {rule.scope}s it applies to violate it"
    if not rule.group or not found:
        return told
    groups = table[rule.group].filter(pa.array(outcome.violates))[:GROUPS_NAMED].to_pylist()
    names = ", ".join(printable(str(group))[:LETTERS_NAMED] for group in groups)
    return f"{told}, first {names}"


def _coverage(bench: Bench, rules: Sequence[tuple[str, Rule]], covered: Mask) -> Held:
    asked = {
        audit
        for _, rule in rules
        if rule.scope != "run" and rule.in_force(bench.as_of)
        for audit in rule.evidence.audit
    }
    absent = sorted(asked - bench.audits_run)
    unmeasured = int((~covered).sum())
    result = _of_ours(
        "PRAMANA-COVERAGE",
        on="sample",
        violations=len(covered) if absent else unmeasured,
        require="covered",
        why="A sample that was not measured by every audit the rules rest on proves nothing.",
        detail=f"{unmeasured} of {len(covered)} samples were not measured; "
        f"audits that were not run: {', '.join(absent) or 'none'}.",
    )
    return Held(result, ~covered)


def _some_rule(judged: Sequence[RuleResult]) -> RuleResult:
    count = sum(result.status in {"satisfied", "violated"} for result in judged)
    return _of_ours(
        "PRAMANA-NO-RULE",
        on="snapshot",
        violations=int(count == 0),
        require="rules in force > 0",
        why="Where no rule was in force, nothing was decided.",
        detail=f"{count} rules were in force and held against the evidence.",
    )


def _something_left(cleared: Mask) -> RuleResult:
    count = int(cleared.sum())
    return _of_ours(
        "PRAMANA-NOTHING-CLEARED",
        on="snapshot",
        violations=int(count == 0),
        require="cleared > 0",
        why="Where every sample is taken out, there is nothing to train on.",
        detail=f"{count} of {len(cleared)} samples are left.",
    )


def _of_ours(
    name: str, *, on: Scope, violations: int, require: str, why: str, detail: str
) -> RuleResult:
    """Return the result of a rule that holds whatever the packs say."""
    return RuleResult(
        id=name,
        policy=OURS,
        on=on,
        status="violated" if violations else "satisfied",
        violations=violations,
        remedy="block",
        severity="critical",
        require=require,
        cite="Pramana: no proof, no training",
        why=why,
        detail=detail,
    )


def _excluded(ids: pa.ChunkedArray, takers: Sequence[Held]) -> pa.Table:
    """Return a row for each sample and rule that takes it out, sorted by sample, then rule."""
    rows = [np.flatnonzero(taker.out) for taker in takers]
    samples = np.concatenate(rows)
    rules = np.repeat(np.arange(len(takers), dtype=np.int32), [len(found) for found in rows])
    order = np.lexsort((rules, samples))
    which = pa.array(rules[order])
    words = [(r.policy, r.id, r.remedy, r.why) for r in (taker.result for taker in takers)]
    told = [
        pa.DictionaryArray.from_arrays(which, list(texts)) for texts in zip(*words, strict=True)
    ]
    return pa.table([ids.take(pa.array(samples[order])), *told], schema=EXCLUDED)
