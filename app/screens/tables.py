"""A table of which a reader picks a row.

Does not see: what a row is, or what is shown of the one that was picked.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

import streamlit as st

if TYPE_CHECKING:
    from streamlit.elements.lib.column_types import ColumnConfig

Row = TypeVar("Row")


def picked(
    rows: Sequence[Row],
    columns: Mapping[str, "ColumnConfig"],
    *,
    height: Literal["auto", "content"] = "auto",
) -> list[Row]:
    """Draw rows under the columns named, and return the row that was picked, or none."""
    drawn = st.dataframe(
        rows,
        hide_index=True,
        height=height,
        column_config=columns,
        column_order=tuple(columns),
        on_select="rerun",
        selection_mode="single-row",
    )
    return [rows[index] for index in drawn.selection.rows if index < len(rows)]
