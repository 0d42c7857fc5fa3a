"""Waivers: who asked for which exception, who still has to approve, and what ends soon.

Does not see: a key. A browser session never signs; the page shows the command an approver runs.
"""

from datetime import UTC, datetime

import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from app.screens.evidence import nothing_yet, verified
from app.screens.tables import picked
from app.waiver_rows import SOON_DAYS, waiver_rows
from governance.waiving.waived import standings

WAIVERS = {
    "state": TextColumn("state", width=130),
    "rule": TextColumn("rule", width=260),
    "what": TextColumn("sets aside", width=140),
    "approved": TextColumn("approved", width=80),
    "wanting": TextColumn("still wanting", width=180),
    "days_left": NumberColumn("days left", width=80),
    "before": NumberColumn("granted before", width=110),
}

st.title("Waivers", anchor=False)
workspace, _ = verified()
rows = waiver_rows(standings(workspace), datetime.now(UTC))
if not rows:
    nothing_yet(
        "Nobody asked for a waiver. A rule that may be waived is asked for by name:",
        'pramana waiver request RULE --days 30 --reason "…" --measure "…" --key YOUR-KEY.pem',
    )
ending = sum(row.soon for row in rows)
if ending:
    st.warning(f"{ending} end within {SOON_DAYS} days.", icon=":material/schedule:")
chosen = picked(rows, WAIVERS)
for row in chosen:
    said = {
        "Waiver": row.id,
        "Ends": row.ends,
        "Approved by": row.by or "nobody yet",
        "Reason": row.reason,
        "Instead": row.measure,
    }
    for name, text in said.items():
        st.caption(name)
        st.text(text)
    if row.command:
        st.caption("An approver runs this where their key is; it shows what is signed:")
        st.code(row.command, language="shell")
if not chosen:
    st.caption("Pick a row for its reason, what is done instead, and how it is approved.")
