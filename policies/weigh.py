"""Waivers weighed: which violations of a rule people have set aside, and which waivers miss.

A waiver holds for the policy's very bytes, the snapshot, the rule and the samples it names, each of
which violates the rule now; where one of these differs, the whole waiver has no effect. Nobody can
waive what holds by construction, a rule that says never, the child-safety pack, a rule whose
evidence is missing, or anything for a suspected sample.

Does not see: who signed. Whoever hands waivers in has held them to their signatures
(`governance.waiving.waivers`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from governance.records import Exemption
from policies.compile import Outcome
from policies.evidence import Mask, truth
from policies.rules import Pack, Rule

CHILD_SAFETY = "child-safety"  # the pack that no waiver reaches, whatever its text says
SUSPECTED = "suspected"  # such a sample is never cleared, and only rules that read this judge it
SHORT = 12  # hex digits people compare by eye


@dataclass(frozen=True, slots=True)
class Effect:
    """What waivers did to one rule: rows set aside, by which, and why others did nothing."""

    rows: Mask
    ids: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()


def none_of(rows: int) -> Effect:
    """Return the effect of no waiver on a number of rows."""
    return Effect(np.zeros(rows, dtype=np.bool_))


def idle(waivers: Sequence[Exemption], reason: str, *, rows: int) -> Effect:
    """Return the effect on a number of rows of waivers that can have none."""
    told = tuple(without_effect(waiver.id, reason) for waiver in waivers)
    return Effect(none_of(rows).rows, idle=told)


def misfit(waiver: Exemption, packs: Sequence[Pack], snapshot: str) -> str:
    """Return why a waiver is not about what is judged here; '' when it is."""
    pack = next((pack for pack in packs if pack.id == waiver.policy), None)
    if pack is None:
        return f"the policy {waiver.policy!r} did not judge"
    if pack.source.used.sha256 != waiver.policy_sha256:
        return f"the policy {waiver.policy!r} was edited since"
    if waiver.snapshot != snapshot:
        return f"it is about the snapshot {waiver.snapshot[:SHORT]}"
    if all(rule.id != waiver.rule for rule in pack.rules):
        return f"the policy {waiver.policy!r} has no rule {waiver.rule!r}"
    return ""


def weigh(
    policy: str, rule: Rule, outcome: Outcome, *, table: pa.Table, waivers: Sequence[Exemption]
) -> Effect:
    """Return what waivers of one rule set aside, of the rows that violate it."""
    if policy == CHILD_SAFETY or rule.waive == "never":
        return idle(waivers, f"{rule.id} can never be waived", rows=table.num_rows)
    effect = none_of(table.num_rows)
    for waiver in waivers:
        named = "samples" if rule.scope == "sample" else "the whole snapshot"
        if (waiver.samples is None) == (rule.scope == "sample"):
            rows, reason = None, f"a waiver of {rule.id} names {named}"
        else:
            rows, reason = _rows(waiver, outcome, table)
        if rows is None:
            told = (*effect.idle, without_effect(waiver.id, reason))
            effect = replace(effect, idle=told)
        else:
            effect = replace(effect, rows=effect.rows | rows, ids=(*effect.ids, waiver.id))
    return effect


def without_effect(waiver: str, reason: str) -> str:
    """Return the sentence that says why a waiver did nothing."""
    return f"Waiver {waiver[:SHORT]} has no effect: {reason}."


def _rows(waiver: Exemption, outcome: Outcome, table: pa.Table) -> tuple[Mask | None, str]:
    """Return the rows a waiver sets aside, or None and why it sets aside none."""
    if waiver.samples is None:
        return (outcome.violates, "") if outcome.violates.any() else (None, "nothing violates it")
    rows = _named(waiver.samples, table)
    named = len(waiver.samples)
    if not named or int(rows.sum()) != named:
        return None, f"{int(rows.sum())} of the {named} samples it names are in the snapshot"
    if (rows & truth(table, SUSPECTED)).any():
        return None, "a sample it names is suspected, and such a sample is never waived"
    unneeded = int((rows & ~outcome.violates).sum())
    if unneeded:
        return None, f"{unneeded} of the {named} samples it names do not violate the rule now"
    return rows, ""


def _named(samples: Sequence[str], table: pa.Table) -> Mask:
    wanted = set(samples)
    return np.array([name in wanted for name in table["id"].to_pylist()], dtype=np.bool_)
