"""The `review` verb: start the screens as a server of their own, on this machine only.

Does not see: what the reader does there. A browser session signs nothing and changes nothing.
"""

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

from app.theme import OPTIONS
from governance.errors import UsageError

MAIN = Path(__file__).with_name("main.py")
PLACE = "PRAMANA_WORKSPACE"  # where the screens look for the workspace


def command(port: int | None) -> list[str]:
    """Return the command that serves the screens; without a port, the first free one from 8501."""
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    chosen = [] if port is None else [f"--server.port={port}"]
    # -P: a folder `governance/` where the reader stands must not be imported in place of ours
    return [sys.executable, "-P", "-m", "streamlit", "run", str(MAIN), *options, *chosen]


def environment(workspace: Path) -> dict[str, str]:
    """Return this process's environment, and the place of the workspace in it."""
    return {**os.environ, PLACE: str(workspace.resolve())}


def run(workspace: Path, port: int | None = None) -> NoReturn:
    """Become the server of the screens, until the reader stops it.

    Raises:
        UsageError: Streamlit is not installed.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise UsageError("The screens need Streamlit; install it with `pip install pramana[app]`.")
    os.execve(sys.executable, command(port), environment(workspace))  # noqa: S606  no shell is wanted
