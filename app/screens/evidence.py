"""What every screen does first: find the workspace, verify its ledger, or say what is wrong.

Does not see: the files behind the entries. Each screen reads those through `view`, which holds
them to the ledger; `pramana verify` recomputes all of them.
"""

import os
from pathlib import Path

import streamlit as st

from app import view
from app.review import PLACE
from governance.errors import PramanaError, Tampered
from governance.trail.note import Checkpoint
from governance.workspace import Workspace


def verified() -> tuple[Workspace, Checkpoint]:
    """Return the workspace and the head of its ledger, after verifying every entry.

    Ends the screen when nothing was recorded yet. Raises Tampered.
    """
    place = os.environ.get(PLACE, "")
    workspace = Workspace(Path(place))
    if not place or not view.is_started(workspace):
        nothing_yet(
            "Nothing has happened here yet. Audit a dataset first:", "pramana audit photos/"
        )
    head = workspace.ledger.verify()
    with st.sidebar:
        st.caption(f":material/verified: The ledger is unbroken: {head.size:,} acts")
        st.caption(f"root `{view.short(head.root.hex())}`")
    return workspace, head


def nothing_yet(sentence: str, command: str) -> None:
    """Say what is missing and which command makes it, and end the screen."""
    st.info(sentence, icon=":material/info:")
    st.code(command, language="shell")
    st.stop()


def show_fault(fault: PramanaError) -> None:
    """Show why a screen cannot be shown. The reason may quote hostile bytes: plain text."""
    if isinstance(fault, Tampered):
        st.error("Something here was altered after it was recorded.", icon=":material/gpp_bad:")
    else:
        st.warning("Some evidence cannot be shown.", icon=":material/help_center:")
    st.text(str(fault))
