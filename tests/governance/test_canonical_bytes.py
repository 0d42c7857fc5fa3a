"""Canonical JSON, strict parsing, and files that are whole or absent."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.canon import (
    canonical,
    parse_json,
    parse_yaml,
    printable,
    whole_file,
    whole_folder,
    write_whole,
)
from governance.errors import UsageError


@pytest.mark.shared
@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_canonical_json_equals_the_published_vectors(shared: Path, name: str) -> None:
    folder = shared / "conformance" / "jcs"
    value = json.loads((folder / "input" / f"{name}.json").read_text())
    assert canonical(value) == (folder / "output" / f"{name}.json").read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53], ids=str)
def test_numbers_without_a_canonical_form_are_refused(value: float) -> None:
    with pytest.raises(UsageError, match="no canonical JSON"):
        canonical({"value": value})


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda s: st.lists(s, max_size=3)))
def test_canonical_json_reads_back(value: object) -> None:
    assert parse_json(canonical(value)) == value


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', "NaN", '{"a": Infinity}', "{", "[" * 100_000],
    ids=["key twice", "NaN", "infinity", "cut off", "very deep"],
)  # fmt: skip
def test_json_that_two_readers_may_read_differently_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not JSON we accept"):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x", "alias"),
        ("a: 1\na: 2", "twice"),
        ("a: !!python/object/apply:os.getcwd []", "python/object"),
        ("a: [", "not YAML"),
        ("# " + "x" * (1 << 20), "at most"),
    ],
    ids=["alias bomb", "key twice", "python tag", "cut off", "a megabyte"],
)
def test_yaml_that_could_surprise_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_yaml(text)


def test_hostile_text_loses_what_a_terminal_would_obey() -> None:
    assert printable("a\x1b[31mred\u202egnp.exe\n") == "a [31mred gnp.exe "


def test_a_file_is_as_before_when_its_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_whole(path, b"before")
    with pytest.raises(TypeError), whole_file(path) as stream:
        stream.writelines([b"half", "not bytes"])
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(TypeError), whole_folder(tmp_path / "out") as making:
        (making / "a").write_text(b"no text")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as making:
        (making / "a").write_text("whole")
        assert not (tmp_path / "out" / "a").exists()
    assert (tmp_path / "out" / "a").read_text() == "whole"


def test_a_folder_that_holds_files_is_not_written_over(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="holds files already"), whole_folder(tmp_path):
        pytest.fail("it was given out")
    assert (tmp_path / "mine").read_text() == "mine"
