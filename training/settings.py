"""Settings: JSON becomes a frozen record, every field named once, typed and within its range.

Does not see: what the settings mean to one another; the record holds that.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import TypeVar, get_args, get_origin, get_type_hints

from governance.canon import Json
from governance.errors import UsageError

MOST = 2**31  # of anything: beyond it a setting is a slip of the pen
SIGNED = ("time_mean",)
FROM_ZERO = ("seed", "block", "routed_from", "routed_to")  # other counts begin at 1
T = TypeVar("T")


def read_settings(kind: type[T], value: Json, where: str) -> T:
    """Read a record. Raises UsageError for a key that is unknown, missing or mistyped."""
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} is not a mapping of settings to values.")
    hints = get_type_hints(kind)
    wrong = sorted(value.keys() ^ hints.keys())
    if wrong:
        raise UsageError(f"{where} lacks or does not know {', '.join(wrong)}; name each once.")
    return kind(**{name: _setting(hints[name], value[name], name) for name in hints})


def _setting(kind: type, value: Json, name: str) -> object:
    """Return one setting, held to its type and range. Raises UsageError."""
    if is_dataclass(kind):
        return read_settings(kind, value, name)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{name} must be a list, not {value!r}.")
        return tuple(_setting(get_args(kind)[0], part, name) for part in value)
    low = -MOST if name in SIGNED else 1 if kind is int and name not in FROM_ZERO else 0
    high = 1 if name.endswith("_share") else MOST
    if kind in (str, bool):
        right = isinstance(value, kind)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        right = False
    else:
        right = isinstance(value, (int, kind)) and low <= value <= high
    if not right:
        named = {str: "a text", bool: "true or false"}
        said = named.get(kind) or f"a number ({kind.__name__}) from {low} to {high}"
        raise UsageError(f"{name} must be {said}, not {value!r}.")
    return value
