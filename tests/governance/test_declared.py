"""What pramana.toml may say, and what is refused before anything is done."""

import pytest

from governance.errors import UsageError
from governance.workspace import CONFIG_FILE, Workspace


def declared(folder, text):
    (folder / CONFIG_FILE).write_text(text)
    return Workspace.at(folder).declared()


def test_a_new_workspace_declares_nothing_and_asks_no_network(tmp_path):
    found = Workspace.at(tmp_path).declared()
    assert not found.attest_host
    assert not found.audits
    assert set(found.facts.values()) == {"", False}


def test_whether_the_host_may_be_asked_is_true_or_false(tmp_path):
    assert declared(tmp_path, "attest_host = true").attest_host is True


@pytest.mark.parametrize(
    "text",
    ['attest_host = "yes"', "attest_host = 1", "operator = true", 'host = "here"', "country = 91"],
)
def test_a_key_that_is_not_known_or_of_another_type_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match="attest_host is true or false"):
        declared(tmp_path, text)


@pytest.mark.parametrize("text", ["audits = 1", "[audits]\nlocality = 1"])
def test_settings_of_audits_are_tables(tmp_path, text):
    with pytest.raises(UsageError, match=r"tables \[audits.NAME\] only"):
        declared(tmp_path, text)
