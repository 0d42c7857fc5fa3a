"""The decision: every rule of every pack held against the evidence, and what is cleared.

The verdict is 'block' exactly when a rule whose remedy is 'block' is violated, and
'pass-with-waivers' when it is not and a waiver had an effect. What must hold
whatever the packs say (there is a rule, every sample was measured, something is left) are three
rules of our own. A rule whose evidence is missing is reported as violated, with the remedy 'block'.

Does not see: who signed a waiver. `governance.waiving` holds it to its signatures before it is
handed in here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from governance.canon import Json, printable
from governance.errors import UsageError
from governance.records import Exemption, Finding, RuleResult, RuleStatus, Verdict
from policies.compile import Outcome, connect, evaluate, unknown
from policies.evidence import Mask, group_table, run_table, sample_table, snapshot_table, truth
from policies.reference import sources
from policies.rules import OURS, Pack, Rule, Scope, Source
from policies.weigh import (
    SHORT,
    SUSPECTED,
    Effect,
    idle,
    misfit,
    none_of,
    weigh,
    without_effect,
)

WORD = pa.dictionary(pa.int32(), pa.string())  # a few texts, told of very many samples
EXCLUDED = pa.schema({"id": pa.string(), "policy": WORD, "rule": WORD, "remedy": WORD, "why": WORD})
GROUPS_NAMED = 5  # a sentence that names more of them is not read
LETTERS_NAMED = 60  # of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the rules concluded.

    `excluded` has one row for each sample and rule that takes it out, in manifest order and then in
    the order of the rules, so that a sample's first row is its reason. `cleared` are ids in
    manifest order. `texts` are the packs and tables that judged, with their bytes. `waivers` are
    the ids of those that had an effect, `idle` sentences on those that had none.
    """

    verdict: Verdict
    rules: tuple[RuleResult, ...]
    excluded: pa.Table
    cleared: pa.Array
    texts: tuple[Source, ...]
    waivers: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A rule's result, which rows it takes out, and what waivers did to it."""

    result: RuleResult
    out: Mask
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every rule is held with: the day, the audits, a sealed-off database, the waivers."""

    as_of: date
    audits_run: frozenset[str]
    connection: duckdb.DuckDBPyConnection
    waivers: tuple[Exemption, ...] = ()

    def hold(self, policy: str, rule: Rule, table: pa.Table) -> Held:
        """Hold a rule against the rows it is about.

        Raises:
            UsageError: its condition cannot be run on such columns.
        """
        problem = self._missing(rule, table)
        if problem:
            return self.unproven(policy, rule, table.num_rows, problem)
        when, require = rule.conditions
        try:
            outcome = evaluate(self.connection, table, when=when, require=require)
        except UsageError as fault:
            raise UsageError(f"Rule {rule.id} of policy {policy}: {fault}") from None
        if rule.scope == "sample" and SUSPECTED not in rule.reads:  # nothing else is known of these
            known = ~truth(table, SUSPECTED)
            outcome = Outcome(outcome.applies & known, outcome.violates & known)
        effect = self._effect(policy, rule, outcome, table)
        result = self._weighed(policy, rule, outcome, table, effect)
        taken = rule.remedy in {"exclude", "quarantine"} or result.status == "violated"
        enforced = rule.in_force(self.as_of) and rule.remedy != "record"
        return Held(result, outcome.violates & ~effect.rows & (taken and enforced), effect)

    def asked_for(self, policy: str, rule: Rule) -> tuple[Exemption, ...]:
        """Return the waivers of a rule."""
        return tuple(w for w in self.waivers if (w.policy, w.rule) == (policy, rule.id))

    def _effect(self, policy: str, rule: Rule, outcome: Outcome, table: pa.Table) -> Effect:
        waivers = self.asked_for(policy, rule)
        if not rule.in_force(self.as_of):
            return idle(waivers, "the rule is not in force", rows=table.num_rows)
        return weigh(policy, rule, outcome, table=table, waivers=waivers)

    def _missing(self, rule: Rule, table: pa.Table) -> str:
        absent = sorted(set(rule.evidence.audit) - self.audits_run)
        if absent and rule.scope != "run":
            return f"The audit {absent[0]!r} was not run on this snapshot; run it."
        return unknown(rule.reads, table.column_names)

    def unproven(self, policy: str, rule: Rule, rows: int, problem: str) -> Held:
        """Return what holds of a rule whose evidence is missing: violated, blocks, not waived."""
        waivers = self.asked_for(policy, rule)
        effect = idle(waivers, "the rule's evidence is missing", rows=rows)
        if rule.in_force(self.as_of):
            result = _result(policy, rule, "violated", violations=max(rows, 1), detail=problem)
            result = replace(result, remedy="block")
        else:
            result = _result(policy, rule, "not-in-force", detail=f"{_since(rule)} {problem}")
        return Held(result, effect.rows, effect)

    def _weighed(
        self, policy: str, rule: Rule, outcome: Outcome, table: pa.Table, effect: Effect
    ) -> RuleResult:
        waived, detail = int(effect.rows.sum()), f"{_counted(rule, outcome, table)}."
        found = int(outcome.violates.sum()) - waived
        if not rule.in_force(self.as_of):
            detail = f"{_since(rule)} {detail}"
            return _result(policy, rule, "not-in-force", violations=found, detail=detail)
        tolerated = rule.tolerated(int(outcome.applies.sum()))
        if tolerated:
            detail += f" {tolerated} are tolerated."
        if waived:
            by = ", ".join(name[:SHORT] for name in effect.ids)
            detail += f" {'Waived' if found == 0 else f'{waived} are waived'} by {by}."
        kept: RuleStatus = "waived" if waived else "satisfied"
        status: RuleStatus = "violated" if found > tolerated else kept
        result = _result(policy, rule, status, violations=found, detail=detail)
        return replace(result, waived=waived)


def judge(
    samples: pa.Table,
    *,
    audits_run: Collection[str],
    findings: Sequence[Finding],
    packs: Sequence[Pack],
    as_of: date,
    snapshot: str = "",
    waivers: Sequence[Exemption] = (),
) -> Judgement:
    """Hold a snapshot against policy packs by the law of a day.

    Args:
        samples: one row a sample, in manifest order: manifest, measures, relations, and `covered`,
            which is true where every audit measured the sample.
        audits_run: the names of the audits that were run.
        findings: what the audits say of the whole set; rules read them as `finding['audit/name']`.
        packs: the policies, in the order in which their rules give a sample its reason.
        as_of: the day whose law counts.
        snapshot: the root of the snapshot, which waivers name.
        waivers: what people have set aside, held to their signatures before.

    Raises:
        UsageError: a pack stands twice, or a condition cannot be run on the columns there are.
    """
    rules = _all_rules(packs)
    strays = {w.id: misfit(w, packs, snapshot) for w in waivers}
    bench = Bench(
        as_of=as_of,
        audits_run=frozenset(audits_run),
        connection=connect(),
        waivers=tuple(w for w in waivers if not strays[w.id]),
    )
    table, covered = sample_table(samples), truth(samples, "covered")
    held = {(p, r.id): bench.hold(p, r, table) for p, r in rules if r.scope == "sample"}
    takers = (_coverage(bench, rules, covered), *held.values())
    out = [truth(table, SUSPECTED), *(taker.out for taker in takers)]
    cleared = ~np.logical_or.reduce(out, axis=0)
    whole = snapshot_table(covered, cleared, findings)
    judged = [
        held[p, r.id] if r.scope == "sample" else _later(bench, p, r, (table, cleared, whole))
        for p, r in rules
    ]
    told = [one.result for one in judged]
    results = (takers[0].result, _some_rule(told), _something_left(cleared), *told)
    used = tuple(name for one in judged for name in one.effect.ids)
    missed = (without_effect(name, reason) for name, reason in strays.items() if reason)
    return Judgement(
        verdict=verdict(results, used),
        rules=results,
        excluded=_excluded(samples["id"], takers),
        cleared=samples["id"].combine_chunks().filter(pa.array(cleared)),
        texts=(*(pack.source for pack in packs), *sources()),
        waivers=used,
        idle=(*missed, *(sentence for one in judged for sentence in one.effect.idle)),
    )


def judge_run(
    facts: Mapping[str, Json],
    *,
    packs: Sequence[Pack],
    as_of: date,
    waivers: Sequence[Exemption] = (),
) -> tuple[RuleResult, ...]:
    """Hold the rules about runs against what is known of a run: preset, budget, host, region.

    A fact that is not there is a column that is not there: the rule that reads it blocks.

    Args:
        facts: what is known of the run.
        packs: the policies of the decision that the run stands on.
        as_of: the day whose law counts.
        waivers: those which that decision took into account, so that they fit its snapshot.

    Raises:
        UsageError: a pack stands twice, or a condition cannot be run on such facts.
    """
    fit = tuple(w for w in waivers if not misfit(w, packs, w.snapshot))
    bench = Bench(as_of=as_of, audits_run=frozenset(), connection=connect(), waivers=fit)
    rules = [(policy, rule) for policy, rule in _all_rules(packs) if rule.scope == "run"]
    return tuple(bench.hold(policy, rule, run_table(facts)).result for policy, rule in rules)


def verdict(results: Sequence[RuleResult], waivers: Collection[str] = ()) -> Verdict:
    """Return 'block' when a rule that blocks is violated, else whether waivers had a part in it."""
    if any(result.status == "violated" and result.remedy == "block" for result in results):
        return "block"
    return "pass-with-waivers" if waivers else "pass"


def _all_rules(packs: Sequence[Pack]) -> list[tuple[str, Rule]]:
    names = [pack.id for pack in packs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"The policy {twice[0]!r} is given twice; give it once.")
    return [(pack.id, rule) for pack in packs for rule in pack.rules]


def _later(bench: Bench, policy: str, rule: Rule, seen: tuple[pa.Table, Mask, pa.Table]) -> Held:
    """Return what holds of a rule about more than one sample, once it is known what is cleared."""
    table, cleared, whole = seen
    if rule.scope == "run":
        return _at_run(bench, policy, rule)
    if rule.scope == "snapshot":
        return bench.hold(policy, rule, whole)
    problem = unknown([rule.group], table.column_names)
    if problem:
        return bench.unproven(policy, rule, 1, problem)
    return bench.hold(policy, rule, group_table(table, rule.group, cleared))


def _at_run(bench: Bench, policy: str, rule: Rule) -> Held:
    """Return a rule about runs as it stands before there is one; its waivers count from here on."""
    detail, waivers = "It is judged when a run asks for a clearance.", bench.asked_for(policy, rule)
    if not rule.in_force(bench.as_of):
        effect = idle(waivers, "the rule is not in force", rows=0)
        return Held(_result(policy, rule, "not-in-force", detail=detail), effect.rows, effect)
    a_run = Outcome(np.ones(1, dtype=np.bool_), np.ones(1, dtype=np.bool_))  # supposing the worst
    table = run_table({})
    effect = weigh(policy, rule, a_run, table=table, waivers=waivers)
    if effect.ids:
        detail += f" It is waived by {', '.join(name[:SHORT] for name in effect.ids)}."
    return Held(_result(policy, rule, "at-run", detail=detail), effect.rows, effect)


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
    return Held(result, ~covered, none_of(len(covered)))


def _some_rule(judged: Sequence[RuleResult]) -> RuleResult:
    count = sum(result.status in {"satisfied", "violated", "waived"} for result in judged)
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
    # Each word once in its dictionary: Arrow writes leftover memory to Parquet where one repeats.
    told = [pa.array(texts).dictionary_encode().take(which) for texts in zip(*words, strict=True)]
    return pa.table([ids.take(pa.array(samples[order])), *told], schema=EXCLUDED)
