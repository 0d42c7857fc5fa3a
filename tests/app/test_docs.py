"""What the documents show an operator is what the program reads, key by key."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from audits import duplicates, licence, locality, nsfw, personal, quality
from audits.registry import SETTABLE
from governance.workspace import Declared

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "audits.md"
TABLES: dict[str, type[BaseModel]] = {
    "duplicates": duplicates.DuplicatesTable,
    "licence": licence.LicenceTable,
    "locality": locality.LocalityTable,
    "nsfw": nsfw.NsfwTable,
    "personal": personal.PersonalTable,
    "quality": quality.QualityTable,
}


def shown():
    return tomllib.loads(re.search(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)[1])


def test_every_declaration_is_shown():
    assert set(shown()) == {*Declared().facts, "audits"}


def test_every_audit_that_can_be_set_is_shown():
    assert set(shown()["audits"]) == set(SETTABLE) == set(TABLES)


@pytest.mark.parametrize("audit", TABLES)
def test_every_setting_of_an_audit_is_shown(audit):
    told = shown()["audits"][audit]
    elsewhere = (ROOT / "docs" / "child-safety.md").read_text() if audit == "nsfw" else ""
    for key in TABLES[audit].model_fields:
        assert key in told or f"\n{key} = " in elsewhere
    assert set(told) <= set(TABLES[audit].model_fields)


def test_every_script_of_answers_is_named_and_is_there():
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*_answers.py")}
    assert set(re.findall(r"`(\w+_answers\.py)`", DOCS.read_text())) == scripts
