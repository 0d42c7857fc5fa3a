"""The screens as Streamlit runs them: verify, guard, lay out; never read a dataset as markup."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import runs, view
from governance.workspace import Workspace

PAGES = Path(view.__file__).parent / "screens" / "pages.py"
SCREENS = ("findings.py", "trail.py", "card.py")
MARKUP = ("![px](http://127.0.0.1:9/x)", "<img src=http://127.0.0.1:9/y onerror=alert(1)>")
Show = Callable[..., AppTest]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Show:
    """Run a screen on a workspace."""

    def shown(folder: Path, screen: str = "findings.py") -> AppTest:
        monkeypatch.setenv("PRAMANA_WORKSPACE", str(folder))
        at = AppTest.from_file(PAGES, default_timeout=30).run()
        return at if screen == SCREENS[0] else at.switch_page(screen).run()

    return shown


def _texts(at: AppTest) -> str:
    return "\n".join(element.value for element in at.text)


def test_the_findings_screen_opens_on_the_latest_decision(show, workspace):
    at = show(workspace.folder)
    assert not at.exception
    assert at.header[0].value == ":green[✓ PASS]"
    decision = workspace.latest_decision()
    assert [metric.value for metric in at.metric] == [
        f"{decision.cleared}", f"{decision.excluded}", "480", "2026-11-23",
    ]  # fmt: skip
    assert [tab.label for tab in at.tabs] == [
        "licence", "nsfw", "duplicates", "bias", "locality", "quality",
    ]  # fmt: skip


def test_picking_the_blocked_decision_shows_what_is_in_the_way(show, workspace):
    at = show(workspace.folder)
    at.selectbox[0].select_index(1).run()
    assert at.header[0].value == ":red[✕ BLOCK]"
    assert "In the way: COM-PERSONAL-NUMBER." in _texts(at)


def test_the_rules_can_be_held_to_one_status(show, workspace):
    at = show(workspace.folder)
    everything = len(at.dataframe[0].value)
    at.button_group[0].set_value(["✕ violated"]).run()
    shown = at.dataframe[0].value
    assert set(shown["status"]) == {"✕ violated"}
    assert 0 < len(shown) < everything


def test_excluded_samples_can_be_held_to_one_rule(show, workspace):
    at = show(workspace.folder)
    at.multiselect[0].select("COM-OPTOUT").run()
    shown = at.dataframe[-1].value
    assert set(shown["rule"]) == {"COM-OPTOUT"}
    assert len(shown) == 8


def test_the_trail_shows_every_act_the_root_and_the_note(show, workspace):
    at = show(workspace.folder, "trail.py")
    assert not at.exception
    assert len(at.dataframe[0].value) == len(workspace.ledger.entries())
    codes = [code.value for code in at.code]
    assert workspace.ledger.verify().root.hex() in codes
    assert workspace.ledger.note().strip() in [code.strip() for code in codes]


def test_the_trail_can_be_held_to_one_kind_of_act(show, workspace):
    at = show(workspace.folder, "trail.py")
    at.button_group[0].set_value(["decided"]).run()
    assert list(at.dataframe[0].value["kind"]) == ["decided", "decided"]


def test_the_card_screen_shows_the_run_and_its_card_as_text(show, workspace):
    at = show(workspace.folder, "card.py")
    assert not at.exception
    [row] = runs.run_rows(workspace)
    assert [metric.value for metric in at.metric] == ["640", "20,480", "2.6 s", "83.0 %"]
    evaluate, command, card = (code.value for code in at.code)
    assert evaluate == f"pramana evaluate {row.run}"
    assert command == f"pramana card {row.run} --out card/"
    assert "# A text-to-image model, with its proof" in card


@pytest.mark.parametrize("screen", SCREENS)
def test_a_folder_where_nothing_happened_names_the_first_command(show, tmp_path, screen):
    at = show(tmp_path, screen)
    assert not at.exception
    assert "Nothing has happened here yet" in at.info[0].value
    assert at.code[0].value.startswith("pramana audit")
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_where_nothing_was_trained_names_the_next_command(show, tmp_path):
    Workspace.at(tmp_path).ledger.append("sealed", {"snapshot": "0" * 64})
    assert "Nothing was decided yet" in show(tmp_path).info[0].value
    at = show(tmp_path, "card.py")
    assert "Nothing was trained yet" in at.info[0].value
    assert at.code[0].value == "pramana train --preset micro --minutes 2"


@pytest.mark.parametrize("screen", SCREENS)
def test_an_edited_ledger_shows_nothing_but_that(show, copy, screen):
    with sqlite3.connect(copy.state / "ledger.db") as connection:
        name = "entries_no_update"
        (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", [name])
        connection.execute(f"DROP TRIGGER {name}")
        connection.execute(
            "UPDATE entries SET leaf = CAST(replace(CAST(leaf AS TEXT), 'block', 'pass') AS BLOB)"
        )
        connection.execute(*made)
    connection.close()
    at = show(copy.folder, screen)
    assert at.error[0].value == "Something here was altered after it was recorded."
    assert "Ledger entry 3 is not the one that was signed" in _texts(at)
    assert not at.dataframe
    assert not at.metric


def test_an_altered_decision_is_not_shown(show, copy):
    path = copy.decision_folder(copy.latest_decision().id) / "decision.json"
    path.write_bytes(path.read_bytes().replace(b'"pass"', b'"pazz"'))
    at = show(copy.folder)
    assert at.error
    assert not at.metric


def test_missing_evidence_is_said_and_is_no_accusation(show, copy):
    (copy.decision_folder(copy.latest_decision().id) / view.EXCLUDED_FILE).unlink()
    at = show(copy.folder)
    assert not at.error
    assert at.warning[0].value == "Some evidence cannot be shown."
    assert "excluded.parquet" in _texts(at)


def test_an_altered_picture_of_a_run_is_not_shown(show, copy):
    [row] = runs.run_rows(copy)
    (copy.runs / row.run / runs.SAMPLES_FILE).write_bytes(b"another picture")
    at = show(copy.folder, "card.py")
    assert at.error
    assert "samples.png" in _texts(at)


def test_a_run_that_goes_on_has_no_card_yet(show, copy):
    copy.ledger.spend("c" * 64, "run-b")
    (copy.runs / "run-b").mkdir()
    at = show(copy.folder, "card.py")
    assert not at.exception
    assert at.selectbox[0].value == "run-b"
    assert "The card is made when the run has ended" in at.info[0].value


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_from_a_dataset_reaches_an_element_that_reads_markup(build, show, tmp_path, screen):
    build(tmp_path, hostile="".join(MARKUP))
    at = show(tmp_path, screen)
    assert not at.exception
    read_as_markup = [
        *at.markdown, *at.title, *at.header, *at.subheader, *at.caption, *at.info, *at.error,
        *at.warning, *at.success,
    ]  # fmt: skip
    said = [element.value for element in read_as_markup]
    said += [w.label for w in (*at.tabs, *at.metric, *at.selectbox, *at.multiselect)]
    said += [option for group in at.button_group for option in group.options]
    assert said
    assert not [text for text in said if any(sign in text for sign in MARKUP)]


@pytest.mark.parametrize("screen", SCREENS)
def test_no_screen_calls_anything_compliant_or_safe(show, workspace, screen):
    at = show(workspace.folder, screen)
    assert "compliant" not in str(at).lower()
    assert "safe" not in str(at).lower()
