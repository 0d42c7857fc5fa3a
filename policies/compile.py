"""Conditions and the SQL they become: one expression each, from a short list of what is allowed.

A row violates a rule unless `require` IS TRUE: NULL violates, and so does NaN or an infinity in any
number that the rule reads. A rule applies unless `when` IS FALSE.

Does not see: whether a condition says what its writer meant; a pack's own test rows are for that.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from governance.canon import Json, parse_json
from governance.errors import UsageError

SANDBOX: Final = {
    "enable_external_access": False,  # no file, no network, no database, no variable of ours
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "lock_configuration": True,  # and no way to turn any of this on again
}
NODES: Final = frozenset(
    {
        "BETWEEN", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION",
        "OPERATOR", "TYPE",
    }
)  # fmt: skip
OPERATORS: Final = frozenset(
    {
        "ARRAY_EXTRACT", "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_COALESCE",
        "OPERATOR_IS_NOT_NULL", "OPERATOR_IS_NULL", "OPERATOR_NOT",
    }
)  # fmt: skip
FUNCTIONS: Final = frozenset(
    {
        "+", "-", "*", "~~", "!~~", "~~*", "!~~*",  # ~~ is LIKE, ~~* is ILIKE; x / 0 is no truth
        "abs", "contains", "ends_with", "greatest", "least", "len", "length", "list_contains",
        "list_has_all", "list_has_any", "list_value", "lower", "regexp_full_match",
        "regexp_matches", "round", "starts_with", "trim", "upper",
    }
)  # fmt: skip
FLOATS: Final = frozenset({"FLOAT", "DOUBLE"})
TRUTHS: Final = frozenset({"BOOLEAN", '"NULL"'})  # NULL where no row of a column has a value
ROW: Final = "#"  # no condition can name it: it is not in the table that the rule is held against


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression that was looked through, and the columns it reads."""

    sql: str
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which rows a rule applies to, and which of them violate it."""

    applies: npt.NDArray[np.bool_]
    violates: npt.NDArray[np.bool_]


def connect() -> duckdb.DuckDBPyConnection:
    """Return a database in memory that reaches nothing outside and cannot be told to."""
    return duckdb.connect(":memory:", config=dict(SANDBOX))


@cache
def parse(text: str) -> Condition:
    """Return a condition once it is one expression made only of what is allowed.

    Raises:
        UsageError: it is no SQL, more than one expression, or uses something not allowed.
    """
    tree = _tree(text)
    nodes = list(_nodes(tree))
    for node in nodes:
        _check_node(node)
    columns = {_column(node) for node in nodes if node["class"] == "COLUMN_REF"}
    return Condition(text, frozenset(columns))


def unknown(columns: Collection[str], present: Collection[str]) -> str:
    """Return a sentence about the first column that is not there; '' when all are."""
    absent = sorted(set(columns) - set(present))
    if not absent:
        return ""
    near = difflib.get_close_matches(absent[0], present, n=3, cutoff=0.5)
    hint = f"the nearest are {', '.join(near)}" if near else "nothing there has such a name"
    return f"There is no column {absent[0]!r} in the evidence; {hint}."


def evaluate(
    connection: duckdb.DuckDBPyConnection,
    table: pa.Table,
    *,
    when: Condition,
    require: Condition,
) -> Outcome:
    """Hold one rule against rows that have all the columns it reads.

    Raises:
        UsageError: a condition is not true or false, or compares things that do not compare.
    """
    reads = sorted(when.columns | require.columns)
    rows = table.select(reads).append_column(ROW, pa.array(np.arange(table.num_rows)))
    connection.register("evidence", rows)
    try:
        _check_truth(connection, when, require)
        found = connection.sql(_sql(connection, when, require)).to_arrow_table()
    except duckdb.BinderException as fault:  # speaks of columns and types, not of rows
        first = str(fault).splitlines()[0]
        raise UsageError(f"The condition does not fit the evidence: {first}") from None
    except duckdb.Error as fault:  # may quote a caption: say only what kind of fault it was
        raise UsageError(
            f"The condition could not be run ({type(fault).__name__}); compare text with text, "
            "numbers with numbers."
        ) from None
    finally:
        connection.unregister("evidence")
    return Outcome(_in_place(found, "applies"), _in_place(found, "violates"))


def _in_place(found: pa.Table, column: str) -> npt.NDArray[np.bool_]:
    """Return a column in the order of the rows that went in, however they came out."""
    placed = np.empty(found.num_rows, dtype=np.bool_)
    placed[found[ROW].to_numpy()] = found[column].to_numpy()
    return placed


def _sql(connection: duckdb.DuckDBPyConnection, when: Condition, require: Condition) -> str:
    kinds = connection.execute("DESCRIBE evidence").fetchall()
    numbers = [_quoted(name) for name, kind, *_ in kinds if kind in FLOATS]
    broken = " OR ".join(["FALSE", *(f"coalesce(NOT isfinite({name}), FALSE)" for name in numbers)])
    applies = f"(({broken}) OR (\n{when.sql}\n) IS NOT FALSE)"
    fails = f"(({broken}) OR (\n{require.sql}\n) IS NOT TRUE)"
    return f'SELECT "{ROW}", {applies} AS applies, {applies} AND {fails} AS violates FROM evidence'  # noqa: S608  parsed


def _check_truth(connection: duckdb.DuckDBPyConnection, *conditions: Condition) -> None:
    for condition in conditions:
        kind = str(connection.sql(f"SELECT (\n{condition.sql}\n) FROM evidence").types[0])  # noqa: S608  parsed
        if kind not in TRUTHS:
            raise UsageError(
                f"The condition {condition.sql!r} is {kind}; it must be true or false."
            )


def _tree(text: str) -> Json:
    """Return the one expression that `text` is, as a syntax tree."""
    with connect() as connection:
        parsed, plain = _parsed(connection, text), _parsed(connection, "TRUE")
    match parsed, plain:
        case (
            {"error": False, "statements": [{"node": {"select_list": [tree], **rest}}]},
            {"error": False, "statements": [{"node": {"select_list": [_], **nothing}}]},
        ) if rest == nothing and isinstance(tree, Mapping) and not tree["alias"]:
            return tree  # nothing beside the expression: no table, order, limit or second statement
        case {"error": True, "error_message": message}, _:
            raise UsageError(f"The condition {text!r} is not SQL: {message}.")
        case _:
            raise UsageError(f"The condition {text!r} is not one expression; write one.")


def _parsed(connection: duckdb.DuckDBPyConnection, text: str) -> Json:
    ask = "SELECT json_serialize_sql(?::VARCHAR)"
    row = connection.execute(ask, [f"SELECT\n{text}\n"]).fetchone()
    return parse_json(row[0]) if row else None


def _nodes(tree: Json) -> Iterator[Mapping[str, Json]]:
    left = [tree]  # a stack of our own: a hostile condition is deeper than Python's
    while left:
        match left.pop():
            case Mapping() as node:
                left += node.values()
                if "class" in node:
                    yield node
            case [*items]:
                left += items
            case _:
                pass


def _check_node(node: Mapping[str, Json]) -> None:
    match node:
        case {"class": "FUNCTION", "function_name": name}:
            plain = {"schema": "", "catalog": "", "filter": None, "distinct": False}
            if name not in FUNCTIONS or any(node[key] != value for key, value in plain.items()):
                words = ", ".join(sorted(name for name in FUNCTIONS if name.isidentifier()))
                raise UsageError(f"The function {name!r} is not allowed; allowed are {words}.")
        case {"class": "OPERATOR", "type": kind} if kind not in OPERATORS:
            raise UsageError(f"The operator {kind} is not allowed in a condition.")
        case {"class": "CAST", "type_expr": {"type_name": kind}} if kind != "BOOLEAN":
            raise UsageError(f"A cast to {kind} is not allowed; compare values as they are.")
        case {"class": kind} if kind not in NODES:
            raise UsageError(f"A {kind} is not allowed in a condition; write a plain comparison.")
        case _:
            return


def _column(node: Mapping[str, Json]) -> str:
    match node:
        case {"column_names": [str(name)]}:
            return name
        case _:
            raise UsageError("A column is named by one word, without a table before it.")


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
