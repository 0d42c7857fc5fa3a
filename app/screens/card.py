"""Runs and card: how a run went, what it draws, and the card that its evidence gives.

Does not see: the captions behind the samples drawn; the card quotes what it must as plain text.
"""

import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from app import runs
from app.screens import charts
from app.screens.evidence import nothing_yet, verified
from governance.cards.render import card_text
from governance.errors import EvidenceMissing
from governance.workspace import Workspace

RUNS = {
    "run": TextColumn("run", width=190),
    "started": TextColumn("cleared to start", width=165),
    "state": TextColumn("state", width=150),
    "steps": NumberColumn("steps", format="localized", width=65),
    "samples": NumberColumn("samples seen", format="localized", width=95),
    "margin_s": NumberColumn("seconds left", format="%.1f", width=90),
    "score": TextColumn("right", width=65),
    "score_interval": TextColumn("95 % interval", width=115),
}

DRAWN = {
    "what": TextColumn("pictures with", width=300),
    "share": TextColumn("share", width=70),
    "interval": TextColumn("95 % interval", width=130),
    "pictures": NumberColumn("of", format="localized", width=60),
    "note": TextColumn("how to read it", width=400),
}


def strip(row: runs.RunRow) -> None:
    """Draw how a run went, in numbers."""
    st.text(row.state)
    steps, samples, left, score = st.columns(4)
    steps.metric("Optimiser steps", _count(row.steps), border=True)
    samples.metric("Samples seen", _count(row.samples), border=True)
    margin = "-" if row.margin_s is None else f"{row.margin_s:.1f} s"
    left.metric("Left at the deadline", margin, border=True)
    score.metric("Unseen prompts drawn right", row.score or "not asked", border=True)


def pictures(files: runs.RunFiles) -> None:
    """Draw the sample grid and the loss of a run, as far as there are any."""
    samples, curve = st.columns(2)
    with samples:
        st.subheader("What it draws", anchor=False)
        if runs.SAMPLES_FILE in files.files:
            st.image(files.files[runs.SAMPLES_FILE], width="stretch")
        else:
            st.caption("No samples yet; a run draws them at its end.")
    with curve:
        st.subheader("Training loss", anchor=False)
        rows = runs.loss_rows(files.files.get(runs.METRICS_FILE, b""))
        if rows:
            st.altair_chart(charts.loss(rows))
        else:
            st.caption("No step is recorded yet.")


def drawn(workspace: Workspace, run: str) -> None:
    """Show what the audits found in pictures the run drew: figures, never the pictures."""
    st.subheader("What it draws, audited", anchor=False)
    rows = runs.drawn_rows(workspace, run)
    if rows:
        st.dataframe(rows, hide_index=True, column_config=DRAWN, column_order=tuple(DRAWN))
        return
    st.caption("Nobody asked yet. Draw for neutral prompts, and audit that:")
    st.code(f"pramana evaluate {run}", language="shell")


def card(workspace: Workspace, run: str) -> None:
    """Show the card as the text it is, and the command that exports it."""
    st.subheader("Card", anchor=False)
    st.caption("Export it with the model, its evidence and its proofs:")
    st.code(f"pramana card {run} --out card/", language="shell")
    try:
        text = card_text(workspace, run)
    except EvidenceMissing as awaited:  # a witness, in the production profile
        st.info(str(awaited))
    else:
        st.code(text, language=None, wrap_lines=True, height=520)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


heading, picker = st.columns([3, 2], vertical_alignment="bottom")
heading.title("Runs and card", anchor=False)
workspace, _ = verified()
rows = {row.run: row for row in runs.run_rows(workspace)}
if not rows:
    nothing_yet(
        "Nothing was trained yet. Train on what is cleared:",
        "pramana train --preset micro --minutes 2",
    )
run = picker.selectbox("Run", list(rows))
strip(rows[run])
files = runs.run_files(workspace, run, runs.METRICS_FILE, runs.SAMPLES_FILE)
pictures(files)
if files.signed:
    drawn(workspace, run)
    card(workspace, run)
else:
    st.info("The card is made when the run has ended and its trainer has signed.")
st.subheader("All runs", anchor=False)
st.dataframe(list(rows.values()), hide_index=True, column_config=RUNS, column_order=tuple(RUNS))
