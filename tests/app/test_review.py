"""How the screens are started: options Streamlit knows, and names that shadow nobody's."""

import importlib.metadata
import os
import pkgutil
import sys
from pathlib import Path

import pytest
from streamlit import config

import app
from app import review, theme

OURS = {"governance", "policies", "audits", "training", "app"}


def test_streamlit_knows_every_option():
    assert set(theme.OPTIONS) <= set(config.get_config_options())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("server.address", "127.0.0.1"),
        ("browser.gatherUsageStats", "false"),
        ("client.showErrorDetails", "none"),
        ("client.disableDataExport", "true"),
        ("server.enableStaticServing", "false"),
        ("server.enableXsrfProtection", "true"),
    ],
)
def test_the_server_is_told_to_keep_to_itself(option, value):
    assert f"--{option}={value}" in review.command(None)


def test_the_command_is_our_interpreter_on_our_file_without_the_folder_it_stands_in():
    command = review.command(8765)
    assert command[:5] == [sys.executable, "-P", "-m", "streamlit", "run"]
    assert Path(command[5]) == Path(app.__file__).with_name("main.py")
    assert "--server.port=8765" in command
    assert not [part for part in review.command(None) if "server.port" in part]


def test_the_workspace_is_named_by_the_environment_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert review.environment(Path("here")) == {
        **os.environ, "PRAMANA_WORKSPACE": str(tmp_path / "here"),
    }  # fmt: skip


def test_nothing_in_app_is_named_like_a_package_that_somebody_imports():
    """Streamlit puts `app/` first on the path, so every module in it is importable bare."""
    bare = {module.name for module in pkgutil.iter_modules(app.__path__)}
    installed = set(importlib.metadata.packages_distributions()) - OURS
    assert not bare & (OURS | installed | set(sys.stdlib_module_names))
