"""Audit trail: every act, under one signed root, each with a proof the reader can take away.

Does not see: a rewrite of the whole ledger by whoever holds its key; a proof or a root kept
elsewhere does.
"""

import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from app import view
from app.screens.evidence import nothing_yet, verified
from app.screens.tables import picked

TRAIL = {
    "number": NumberColumn("no.", width=60),
    "at": TextColumn("at (UTC)", width=160),
    "kind": TextColumn("act", width=130),
    "what": TextColumn("what", width=620),
}

st.title("Audit trail", anchor=False)
workspace, head = verified()
rows = view.trail(workspace.ledger)
if not rows:
    nothing_yet("Nothing has happened yet. Audit a dataset:", "pramana audit photos/")
size, seen, root = st.columns([1, 1, 3])
size.metric("Acts recorded", f"{head.size:,}", border=True)
witnesses = view.seen_by(workspace)
seen.metric("Witnesses", len(witnesses), border=True)
with root:
    trust = workspace.keyring.trust()
    st.caption(
        "Merkle root over all of them (RFC 6962). Keep it elsewhere, and compare. "
        f"Profile {trust.profile}: {trust.witnesses} witnesses must cosign before anything trains."
    )
    st.code(head.root.hex(), language=None)
    for person, at in witnesses:
        st.caption(f"{person} saw the trail grow, {at}")

wanted = st.pills(
    "Act",
    list(dict.fromkeys(row.kind for row in rows)),
    selection_mode="multi",
    label_visibility="collapsed",
)
shown = [row for row in rows if not wanted or row.kind in wanted]
if chosen := picked(shown, TRAIL):
    number = chosen[0].number
    proof = view.proof(workspace.ledger, number)
    st.download_button(
        f"Download the proof of act {number}",
        proof,
        file_name=f"act-{number}.tlog-proof",
        mime="text/plain",
        icon=":material/download:",
        on_click="ignore",
    )
    st.code(proof, language=None)
else:
    st.caption("Pick a row for the proof that the ledger holds it (C2SP tlog-proof).")
with st.expander("The signed checkpoint (C2SP signed note)"):
    st.code(workspace.ledger.note(), language=None)
