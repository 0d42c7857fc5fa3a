"""Where the screens start: navigation, and the sentence shown when evidence does not hold.

Does not see: who is reading. The server answers only to this machine (`app.main`).
"""

import streamlit as st

from app.screens.evidence import show_fault
from app.theme import LOGO, MARK
from governance.errors import PramanaError

st.set_page_config(page_title="Pramana", page_icon=MARK, layout="wide")
st.logo(LOGO, size="large")
page = st.navigation(
    [
        st.Page("findings.py", title="Findings and decision", icon=":material/gavel:"),
        st.Page("waivers.py", title="Waivers", icon=":material/approval:"),
        st.Page("trail.py", title="Audit trail", icon=":material/account_tree:"),
        st.Page("card.py", title="Runs and card", icon=":material/badge:"),
    ]
)
try:
    page.run()
except PramanaError as fault:
    show_fault(fault)
