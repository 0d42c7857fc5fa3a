"""Bias audit: who a dataset declares and its captions name, how they are shown, and with what.

Groups come from columns the dataset carries (*declared*) and from words of its captions (*stated*,
by lexicons in English, Hindi, Tamil and Bengali). Nothing is ever read from a picture: that two
samples are one picture is all this audit knows of pixels.

Does not see: anybody who is neither declared nor named, what a face is, or whether a label is true.
What a decision does to groups is measured after it, in `audits.people.parity`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import duckdb
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures
from audits.captions import lexicon, stated
from audits.people.association import associations
from audits.people.depiction import depicted, shared_pictures
from audits.people.groups import lay_out
from audits.people.representation import AUDIT, spread
from governance.canon import Json, canonical, parse_json, printable
from governance.records import as_object

LEXICONS: Final = ("people", "communities", "occupations", "traits")
TRAITS: Final = ("trait=", "setting=")  # what the lexicons say beside who somebody is
LONGEST = 80  # characters of one `axis=value`


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasAudit:
    """Representation, association and depiction of declared and stated groups."""

    name: ClassVar[str] = AUDIT
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("declared", pa.list_(pa.string())),  # "axis=value" of the manifest's attributes
            ("stated", pa.list_(pa.string())),  # "axis=value" of the caption's words
            ("traits", pa.list_(pa.string())),  # the same, of traits and settings
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([])

    def measure(self, batch: Batch) -> Columns:
        """Read each sample's attributes and caption."""
        terms = lexicon(*LEXICONS)
        said = [stated(caption, terms) for caption in batch.text("caption")]
        return {
            "declared": [declared(text) for text in batch.text("attributes")],
            "stated": [[s for s in row if not s.startswith(TRAITS)] for row in said],
            "traits": [[s for s in row if s.startswith(TRAITS)] for row in said],
        }

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:  # noqa: ARG002  the shape of an audit
        """Say who is there, with what they go together, and how they are shown."""
        lay_out(measures)
        return Conclusion(
            (
                *spread(measures),
                *shared_pictures(measures),
                *associations(measures),
                *depicted(measures),
            )
        )


def declared(attributes: str) -> list[str]:
    """Return what a sample's attributes declare, as sorted `axis=value`; lists count each value.

    Raises:
        UsageError: the text is not JSON.
        Tampered: it is JSON and not an object.
    """
    if attributes in {"", "{}"}:
        return []
    said = as_object(parse_json(attributes), "the attributes of a sample")
    return sorted({group for axis, value in said.items() for group in _groups(axis, value)})


def _groups(axis: str, value: Json) -> Iterator[str]:
    """Yield one `axis=value` for each value that says something."""
    for item in value if isinstance(value, list | tuple) else (value,):
        text = item if isinstance(item, str) else "" if item is None else canonical(item).decode()
        if text.strip():
            yield printable(f"{axis.replace('=', ' ')}={text.strip()}")[:LONGEST]
