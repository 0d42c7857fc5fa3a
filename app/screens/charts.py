"""Charts of rows that `view` made, in Vega-Lite: text stays text in them, and nothing is fetched.

Does not see: raw findings. A finding that is not a share has no bar and no interval here.
"""

from collections.abc import Sequence
from dataclasses import asdict

import altair as alt

from app.found import FindingRow
from app.runs import LossRow
from app.theme import ACCENT, INK, REMEDY_COLOURS
from app.view import DropRow

ROW_PX = 26  # height of one bar or interval
LABEL_PX = 340


def exclusions(rows: Sequence[DropRow]) -> alt.LayerChart | alt.FacetChart:
    """Draw how many samples each rule took out; a sample may break several."""
    base = alt.Chart(_values(rows), height=alt.Step(ROW_PX)).encode(
        x=alt.X("samples:Q", axis=None),  # each bar carries its number
        y=_names("rule", [row.rule for row in rows]),
        tooltip=["rule:N", alt.Tooltip("samples:Q", format=",")],
    )
    remedies = list(dict.fromkeys(row.remedy for row in rows))
    scale = alt.Scale(domain=remedies, range=[REMEDY_COLOURS[r] for r in remedies])
    colour = alt.Color("remedy:N", scale=scale, legend=alt.Legend(orient="top", title=None))
    numbers = base.mark_text(align="left", dx=4, color=INK).encode(
        text=alt.Text("samples:Q", format=",")
    )
    return alt.layer(base.mark_bar(cornerRadiusEnd=2).encode(color=colour), numbers)


def intervals(rows: Sequence[FindingRow]) -> alt.LayerChart | alt.FacetChart:
    """Draw shares as points, each with its 95 % interval where it has one."""
    base = alt.Chart(_values(rows), height=alt.Step(ROW_PX)).encode(
        y=_names("name", [row.name for row in rows]),
        tooltip=[alt.Tooltip(f"{field}:N") for field in ("name", "value", "interval")],
    )
    span = base.mark_rule(strokeWidth=3, opacity=0.45, color=ACCENT).encode(
        x=alt.X(
            "low:Q",
            title="share of samples, with its 95 % interval",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format="%", tickCount=5),
        ),
        x2="high:Q",
    )
    points = base.mark_point(filled=True, size=70, color=ACCENT, opacity=1).encode(x="share:Q")
    return alt.layer(span, points)


def loss(rows: Sequence[LossRow]) -> alt.Chart:
    """Draw the training loss by step."""
    line: alt.Chart = (
        alt.Chart(_values(rows), height=300)
        .mark_line(color=ACCENT, strokeWidth=2)
        .encode(
            x=alt.X("step:Q", title="optimiser step"),
            y=alt.Y("loss:Q", title="training loss", scale=alt.Scale(zero=False)),
            tooltip=["step:Q", alt.Tooltip("loss:Q", format=".4f")],
        )
    )
    return line


def _values(rows: Sequence[DropRow] | Sequence[FindingRow] | Sequence[LossRow]) -> alt.InlineData:
    return alt.InlineData(values=[asdict(row) for row in rows])


def _names(field: str, order: list[str]) -> alt.Y:
    axis = alt.Axis(labelLimit=LABEL_PX, labelColor=INK, labelFontSize=13, title=None)
    return alt.Y(f"{field}:N", sort=order, axis=axis, scale=alt.Scale(paddingOuter=0.3))
