"""Findings and decision: the verdict, the rules behind it, what was found, what was taken out.

Does not see: the pictures and captions of the dataset. This version shows neither.
"""

from datetime import UTC, datetime

import pyarrow as pa
import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from app import found, view
from app.screens import charts
from app.screens.evidence import nothing_yet, verified
from app.screens.tables import picked
from app.waiver_rows import waiver_rows
from governance.records import Decision
from governance.waiving.waived import standings
from governance.workspace import Workspace

PAGE_ROWS, PLOT_ROWS = 20, 24
RULES = {
    "id": TextColumn("rule", width=195),
    "status": TextColumn("status", width=128),
    "violations": NumberColumn("violations", format="localized", width=70),
    "waived": NumberColumn("waived", format="localized", width=60),
    "on": TextColumn("of", width=65),
    "remedy": TextColumn("remedy", width=75),
    "in_force_from": TextColumn("in force from", width=85),
    "why": TextColumn("why", width=420),
    "policy": TextColumn("policy", width=95),
    "severity": TextColumn("severity", width=80),
}
FINDINGS = {
    "name": TextColumn("finding", width=260),
    "value": TextColumn("value", width=95),
    "interval": TextColumn("95 % interval", width=130),
    "samples": NumberColumn("samples named", format="localized", width=110),
    "note": TextColumn("note", width=420),
}
WAIVED = {
    "rule": TextColumn("waived", width=260),
    "what": TextColumn("sets aside", width=130),
    "by": TextColumn("approved by", width=130),
    "ends": TextColumn("until", width=150),
    "reason": TextColumn("reason", width=260),
    "measure": TextColumn("instead", width=260),
}
EXCLUDED = {
    "id": TextColumn("sample", width=260),
    "rule": TextColumn("rule", width=210),
    "remedy": TextColumn("remedy", width=80),
    "why": TextColumn("why", width=460),
}


def strip(decision: Decision) -> None:
    """Draw the verdict strip."""
    said = view.summary(decision)
    st.header(f":{said.tone}[{said.symbol} {said.word}]", anchor=False)
    st.text(said.sentence)
    cleared, excluded, samples, as_of = st.columns(4)
    cleared.metric("Cleared", f"{said.cleared:,}", border=True)
    excluded.metric("Excluded", f"{said.excluded:,}", border=True)
    samples.metric("Samples audited", f"{said.samples:,}", border=True)
    as_of.metric("By the law of", said.as_of, border=True)
    st.text(f"Policies: {said.policies}")


def waivers(workspace: Workspace, decision: Decision) -> None:
    """Draw the waivers that a decision stands on: what, by which roles, until when, why."""
    st.subheader("Waivers", anchor=False)
    st.caption("Set aside by people, each rule for a time. The page Waivers shows how each stands.")
    known = [standing for standing in standings(workspace) if standing.id in decision.waivers]
    rows = waiver_rows(known, datetime.now(UTC))
    st.dataframe(rows, hide_index=True, column_config=WAIVED, column_order=tuple(WAIVED))


def rules(decision: Decision) -> None:
    """Draw every rule under a filter, and all that the one picked says."""
    st.subheader("Rules", anchor=False)
    rows = view.rule_rows(decision)
    statuses = list(dict.fromkeys(row.status for row in rows))
    wanted = st.pills("Status", statuses, selection_mode="multi", label_visibility="collapsed")
    shown = [row for row in rows if not wanted or row.status in wanted]
    chosen = picked(shown, RULES, height="content")
    if not chosen:
        st.caption("Pick a rule to read what it asks, why, and what it cites.")
    for row in chosen:
        with st.container(border=True):
            st.text(f"{row.id} asks of each {row.on}:")
            st.code(row.require, language="sql", wrap_lines=True)
            for said in (row.why, row.cite, row.detail):
                st.text(said)


def findings(workspace: Workspace, decision: Decision) -> None:
    """Draw the findings, one tab an audit."""
    st.subheader("Findings", anchor=False)
    by_audit = found.finding_rows(found.findings(workspace, decision))
    if not by_audit:
        st.text("The audits found nothing to report.")
        return
    for tab, rows in zip(st.tabs(list(by_audit)), by_audit.values(), strict=True):
        with tab:
            shares = [row for row in rows if row.share is not None]
            if shares:
                st.altair_chart(charts.intervals(shares[:PLOT_ROWS]))
            if len(shares) > PLOT_ROWS:
                st.caption(f"The first {PLOT_ROWS} of {len(shares)} shares; the table has all.")
            chosen = picked(rows, FINDINGS)
            if not chosen:
                st.caption("Pick a finding to read how it was come by and what it cannot see.")
            for row in chosen:
                explained(row)


def explained(row: found.FindingRow) -> None:
    """Draw how one finding was come by."""
    method = found.method(row)
    with st.container(border=True):
        st.text(row.key)
        if method is None:
            st.warning("Nobody wrote down how this finding is come by; do not rely on it.")
            return
        st.text(f"Measured: {method.measured}")
        st.text(f"How: {method.how}")
        st.text(f"Library: {method.stands_on}")
        st.text(f"Cannot see: {method.cannot_see}")


def excluded(table: pa.Table, dropped: list[view.DropRow]) -> None:
    """Draw the samples that were taken out, a page at a time."""
    st.subheader("Excluded samples", anchor=False)
    wanted = st.multiselect("Rules", [row.rule for row in dropped], placeholder="all")
    place = st.container()
    total, _ = view.excluded_rows(table, rules=wanted, limit=0)
    page = st.pagination(max(1, -(-total // PAGE_ROWS)))
    _, rows = view.excluded_rows(table, rules=wanted, start=(page - 1) * PAGE_ROWS, limit=PAGE_ROWS)
    with place:
        st.dataframe(
            rows,
            hide_index=True,
            height="content",
            column_config=EXCLUDED,
            column_order=tuple(EXCLUDED),
        )
        st.caption(f"{total:,} rows: a sample stands once under each rule that took it out.")


heading, picker = st.columns([3, 2], vertical_alignment="bottom")
heading.title("Findings and decision", anchor=False)
workspace, _ = verified()
made = {row.id: row for row in view.decisions(workspace.ledger)}
if not made:
    nothing_yet("Nothing was decided yet. Audit a dataset:", "pramana audit photos/")
chosen = picker.selectbox(
    "Decision",
    list(made),
    format_func=lambda name: f"{made[name].verdict} · {made[name].at} · {view.short(name)}",
)
decision = workspace.decision(chosen)
table = view.excluded(workspace, decision)
dropped = view.drops(table)
strip(decision)
if decision.waivers:
    waivers(workspace, decision)
if dropped:
    st.subheader("Samples each rule took out", anchor=False)
    st.altair_chart(charts.exclusions(dropped))
rules(decision)
findings(workspace, decision)
if dropped:
    excluded(table, dropped)
