"""How a table [audits.NAME] of pramana.toml is read: to the last key, or not at all.

Does not see: whether a setting is wise.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from governance.canon import Json
from governance.errors import EvidenceMissing, UsageError

Hex = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,59}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]+$")]


class Written(BaseModel):
    """A table that a person writes: no key beside those known, no value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Table = TypeVar("Table", bound=Written)


def read_table(kind: type[Table], audit: str, table: Mapping[str, Json]) -> Table:
    """Return a table as what it is. Raises UsageError naming its first wrong key."""
    try:
        return kind.model_validate(dict(table))
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"pramana.toml, [audits.{audit}], key {key[:80]!r}: {first['msg']}."
        ) from None


def place_of(path: str, folder: Path, what: str) -> Path:
    """Return where a setting points, from `folder` on. Raises EvidenceMissing: nothing is there."""
    found = folder / path  # an absolute path stays absolute
    if not found.exists():
        raise EvidenceMissing(
            f"There is no file {found.name!r} for the {what} where pramana.toml says; put it there."
        )
    return found
