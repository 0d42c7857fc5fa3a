"""Colours and Streamlit options: how the screens look, and what their server may not do.

Does not see: what a browser does with them. The headers in `app.main` hold whatever it is.
"""

from collections.abc import Mapping
from typing import Final

INK: Final = "#1f2a33"
MUTED: Final = "#66727c"
ACCENT: Final = "#1f5a7a"
LINE: Final = "#dcdfe3"

# Colour never stands alone: each of these is drawn beside a word and a symbol.
REMEDY_COLOURS: Final[Mapping[str, str]] = {
    "block": "#a5313b",
    "exclude": "#1f5a7a",
    "quarantine": "#b7791f",
    "record": "#8a949c",
}

# A Merkle tree whose root is a tick. Drawn by us: Streamlit fetches icons of tabs from elsewhere.
MARK: Final = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40" fill="none"
 stroke="{ACCENT}" stroke-width="3" stroke-linecap="round" stroke-linejoin="round">
<path d="M20 18v6M10 32v-4q0-4 4-4h12q4 0 4 4v4"/><path d="M13 9l5 6 10-11" stroke-width="4"/>
<circle cx="10" cy="34" r="2.5" fill="{ACCENT}"/><circle cx="30" cy="34" r="2.5" fill="{ACCENT}"/>
</svg>"""
LOGO: Final = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 170 40">
<svg width="40" height="40">{MARK}</svg><text x="48" y="28" fill="{INK}" font-size="24"
 font-weight="600" font-family="Segoe UI, Helvetica, Arial, sans-serif">Pramana</text>
</svg>"""

OPTIONS: Final[Mapping[str, str]] = {
    "browser.gatherUsageStats": "false",
    "client.disableDataExport": "true",  # a cell may begin with = and be opened as a formula
    "client.showErrorDetails": "none",  # a traceback may quote what a dataset said
    "client.showErrorLinks": "false",
    "client.toolbarMode": "minimal",
    "server.address": "127.0.0.1",
    "server.enableAgentApi": "false",
    "server.enableStaticServing": "false",
    "server.enableXsrfProtection": "true",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": "1",  # MB; no screen takes a file
    "server.showEmailPrompt": "false",
    "theme.base": "light",
    "theme.primaryColor": ACCENT,
    "theme.backgroundColor": "#ffffff",
    "theme.secondaryBackgroundColor": "#f5f6f7",
    "theme.textColor": INK,
    "theme.borderColor": LINE,
    "theme.redTextColor": REMEDY_COLOURS["block"],
    "theme.orangeTextColor": "#8a5a12",
    "theme.greenTextColor": "#2f6f4f",
    "theme.baseRadius": "4px",
    "theme.paddingTop": "2rem",
    "theme.codeTextColor": INK,
    "theme.headingFontWeights": "600",
    "theme.showWidgetBorder": "true",
    "theme.dataframeHeaderBackgroundColor": "#f5f6f7",
    "theme.metricValueFontSize": "1.7rem",
}
