"""A pack's own test rows: known answers, held against the rules as a decision holds them.

Does not see: cases that the pack's writer did not think of.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from governance.canon import Json
from governance.errors import UsageError
from policies.compile import connect, unknown
from policies.decide import Bench
from policies.evidence import SAMPLE, SNAPSHOT, group_table, run_table, sample_table
from policies.rules import Example, Pack, Rule


def test_pack(pack: Pack) -> list[str]:
    """Return a sentence for each test row that came out otherwise, and for each rule without one.

    A rule needs a row that satisfies it and one that violates it. Rows of sample and group rules
    are samples, rows of a snapshot rule are its one row, rows of a run rule are facts of a run.
    """
    rules = {rule.id: rule for rule in pack.rules}
    with connect() as connection:
        failures = [
            f"Test {number} of rule {example.rule}: {failure}"
            for number, example in enumerate(pack.policy.tests, start=1)
            for failure in _failures(pack.id, rules[example.rule], example, connection)
        ]
    shown = {(example.rule, example.expect) for example in pack.policy.tests}
    failures += [
        f"Rule {name} has no test row that is {answer}; write one."
        for name, rule in rules.items()
        if rule.status != "proposed"  # what is only proposed is never in force
        for answer in ("satisfied", "violated")
        if (name, answer) not in shown
    ]
    return failures


def _failures(
    policy: str, rule: Rule, example: Example, connection: duckdb.DuckDBPyConnection
) -> list[str]:
    bench = Bench(
        as_of=example.as_of or rule.applies_from or date.max,
        audits_run=frozenset(rule.evidence.audit),
        connection=connection,
    )
    try:
        result = bench.hold(policy, rule, _table(rule, example)).result
    except UsageError as fault:
        return [str(fault)]
    if result.status == example.expect:
        return []
    return [f"it is {result.status}, not {example.expect}. {result.detail}"]


def _table(rule: Rule, example: Example) -> pa.Table:
    """Return the test's rows as the table that the rule reads. Raises UsageError."""
    rows = list(example.all_rows)
    match rule.scope:
        case "run":
            return run_table(rows[0])
        case "snapshot":
            return _typed(rows, SNAPSHOT)
        case "sample":
            return sample_table(_typed(rows, SAMPLE))
        case "group":
            samples = sample_table(_typed(rows, SAMPLE))
            return group_table(samples, rule.group, np.ones(len(rows), dtype=np.bool_))


def _typed(rows: Sequence[Mapping[str, Json]], schema: pa.Schema) -> pa.Table:
    for row in rows:
        problem = unknown(row, schema.names)
        if problem:
            raise UsageError(problem)
    pairs = [{k: list(v.items()) if isinstance(v, dict) else v for k, v in r.items()} for r in rows]
    try:
        return pa.Table.from_pylist(pairs, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as fault:
        raise UsageError(f"A value does not fit its column: {fault}.") from None
