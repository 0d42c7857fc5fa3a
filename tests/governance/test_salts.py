"""Salted tags: one name has one tag, until its salt is erased."""

from pathlib import Path

import pytest

from governance.errors import EvidenceMissing, Tampered
from governance.signers.salts import forget, known_tag, tag


def test_one_name_has_one_tag_however_it_is_written(tmp_path: Path) -> None:
    assert tag(tmp_path, "Asha") == tag(tmp_path, " asha ") == known_tag(tmp_path, "ASHA")
    assert tag(tmp_path, "bina") != tag(tmp_path, "asha")


def test_two_workspaces_tag_one_name_differently(tmp_path: Path) -> None:
    assert tag(tmp_path / "one", "asha") != tag(tmp_path / "two", "asha")


def test_after_the_salt_is_erased_nothing_ties_the_name_to_its_tag(tmp_path: Path) -> None:
    before = tag(tmp_path, "asha")
    forget(tmp_path, "asha")
    assert list(tmp_path.iterdir()) == []
    assert known_tag(tmp_path, "asha") is None
    assert tag(tmp_path, "asha") != before


def test_forgetting_a_stranger_says_so(tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match="nothing to erase"):
        forget(tmp_path, "nobody")


def test_the_salt_is_for_its_owner_alone_and_an_altered_one_is_noticed(tmp_path: Path) -> None:
    tag(tmp_path, "asha")
    salt = next(tmp_path.iterdir())
    assert salt.stat().st_mode & 0o777 == 0o600
    assert "asha" not in salt.name
    salt.write_bytes(b"short")
    with pytest.raises(Tampered, match="salt file was altered"):
        tag(tmp_path, "asha")
