"""Conditions: what may be written, and that whatever is not true violates."""

import pyarrow as pa
import pytest

from governance.errors import UsageError
from policies.compile import connect, evaluate, parse, unknown

ROWS = pa.table(
    {
        "score": pa.array([0.1, 0.9, None, float("nan"), float("inf"), float("-inf")]),
        "licence": ["MIT", None, "CC0-1.0", "MIT", "MIT", "MIT"],
        "scored": [True, True, None, False, True, True],
        "kinds": pa.array([["a"], [], None, ["b"], ["a", "b"], [None]], pa.list_(pa.string())),
        "empty": pa.nulls(6),
    }
)


def violating(require: str, when: str = "TRUE") -> list[int]:
    with connect() as connection:
        outcome = evaluate(connection, ROWS, when=parse(when), require=parse(require))
    return [int(row) for row in outcome.violates.nonzero()[0]]


@pytest.mark.parametrize(
    ("require", "when", "rows"),
    [
        ("score < 0.5", "TRUE", [1, 2, 3, 4, 5]),
        ("score >= 0", "TRUE", [2, 3, 4, 5]),  # to DuckDB NaN is the largest number of all
        ("licence NOT IN ('GPL-3.0-only')", "TRUE", [1]),
        ("licence <> 'MIT'", "TRUE", [0, 1, 3, 4, 5]),
        ("scored", "TRUE", [2, 3]),
        ("NOT scored", "scored", [0, 1, 2, 4, 5]),
        ("FALSE", "licence = 'CC0-1.0'", [1, 2]),
        ("licence IS NOT NULL", "score > 0.5", [1, 3, 4, 5]),
        ("TRUE", "score > 5", [3, 4, 5]),
        ("len(kinds) = 0", "TRUE", [0, 2, 3, 4, 5]),
        ("NOT list_has_any(kinds, ['a'])", "TRUE", [0, 2, 4]),
        ("empty", "TRUE", [0, 1, 2, 3, 4, 5]),
        ("empty > 1 OR TRUE", "TRUE", []),
        ("licence LIKE 'M%' -- a comment", "TRUE", [1, 2]),
        ("scored IS TRUE", "TRUE", [2, 3]),
        ("coalesce(licence, 'none') = 'none' OR score BETWEEN 0 AND 0.2", "TRUE", [2, 3, 4, 5]),
    ],
    ids=[
        "number", "NaN is large", "NULL is not among others", "NULL differs from nothing",
        "truth", "NULL when", "unknown when applies", "NaN when", "NaN only when", "list", "any of",
        "no value at all", "nothing read", "comment", "is true", "both",
    ],
)  # fmt: skip
def test_a_row_violates_unless_the_condition_is_true(
    require: str, when: str, rows: list[int]
) -> None:
    assert violating(require, when) == rows


@pytest.mark.parametrize(
    "text",
    [
        "(SELECT TRUE)", "EXISTS (SELECT 1)", "licence IN (SELECT 'MIT')", "licence = ANY(kinds)",
        "TRUE; DROP TABLE evidence", "TRUE FROM read_text('/etc/passwd')", "TRUE, TRUE", "*",
        "COLUMNS('s.*')", "read_text('x') = 'y'", "getenv('HOME') = ''", "glob('*') IS NULL",
        "sum(score) > 1", "count(*) > 1", "row_number() OVER () = 1", "random() > 0.5",
        "now() IS NULL", "score / 0 > 1", "evidence.score > 1", "$1", "?", "TRUE AS x", "TRUE x",
        "TRUE ORDER BY 1", "TRUE LIMIT 1", "TRUE WHERE TRUE", "DISTINCT TRUE",
        "TRUE UNION SELECT 1",
        "1) OR (1", "TRUE) IS NULL OR (TRUE", "TRUE /*", "licence::DATE > 1",
        "licence.upper() = 'X'",
        "main.lower(licence) = 'x'", "len(list_filter(kinds, lambda x: TRUE)) = 1", "#1", "",
        "TRY(score > 1)", "system.main.lower(licence) = 'x'", "list_sort(kinds) = kinds",
        "licence COLLATE nocase = 'mit'", "{'a': TRUE}.a", "error('x') IS NULL",
    ],
)  # fmt: skip
def test_what_is_more_than_one_plain_expression_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"condition|allowed|column"):
        parse(text)


@pytest.mark.parametrize(
    ("require", "sentence"),
    [
        ("score", "is DOUBLE; it must be true or false"),
        ("licence", "is VARCHAR; it must be true or false"),
        ("licence > 5", "does not fit the evidence"),
        ("licence AND TRUE", "could not be run"),
        ("licence IS TRUE", "could not be run"),
        ("regexp_matches(licence, '(')", "could not be run|does not fit"),
        ("ALL scored", "could not be run"),
    ],
)
def test_a_condition_that_cannot_be_run_is_refused_without_quoting_a_row(
    require: str, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence) as refusal:
        violating(require)
    assert "MIT" not in str(refusal.value)
    assert "CC0" not in str(refusal.value)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/hostname')", "COPY (SELECT 1) TO '{out}'",
        "ATTACH '{out}'", "INSTALL httpfs", "SET enable_external_access = true",
        "SET lock_configuration = false", "SELECT * FROM ROWS", "EXPORT DATABASE '{out}'",
    ],
)  # fmt: skip
def test_the_database_reaches_nothing_outside(statement: str, tmp_path: object) -> None:
    import duckdb  # noqa: PLC0415  only this test knows the engine

    out = f"{tmp_path}/out"
    with connect() as connection, pytest.raises(duckdb.Error):
        connection.execute(statement.format(out=out))


def test_conditions_say_which_columns_they_read() -> None:
    assert parse("a > 1 AND (b IS NULL OR lower(c) = 'x')").columns == {"a", "b", "c"}


def test_an_unknown_column_is_answered_with_the_nearest() -> None:
    assert unknown({"nsfw_scor"}, ["nsfw_score", "gps"]) == (
        "There is no column 'nsfw_scor' in the evidence; the nearest are nsfw_score."
    )
    assert unknown({"gps"}, ["gps"]) == ""
    assert "nothing there" in unknown({"zzzz"}, ["gps"])
