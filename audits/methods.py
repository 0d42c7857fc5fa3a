"""How each finding was come by: what was measured, how, with which library, what is not seen.

The texts stand in `methods/`, one file an audit, and are written by hand. Does not see: whether a
text is true of the code; a test holds that every finding has one.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from governance.canon import parse_yaml
from governance.errors import EvidenceMissing
from governance.records import as_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What stands behind a finding, for a reader who does not read code."""

    measured: str
    how: str
    stands_on: str  # the library, and what of it
    cannot_see: str
    headline: bool = False  # printed at once, not only on request


def method_of(audit: str, finding: str) -> Method:
    """Return the method of a finding: of the first pattern of its audit that its name matches.

    Raises:
        EvidenceMissing: nobody wrote one.
    """
    for pattern, method in _methods(audit):
        if fnmatchcase(finding, pattern):
            return method
    raise EvidenceMissing(f"Nobody wrote down how the {audit} audit comes by this finding.")


@functools.cache
def _methods(audit: str) -> tuple[tuple[str, Method], ...]:
    """Return the patterns of an audit with their methods, in the order of its file."""
    path = Path(__file__).with_name("methods") / f"{audit}.yaml"
    if not path.is_file():
        return ()
    told = as_object(parse_yaml(path.read_text(encoding="utf-8")), "the methods")
    return tuple(
        (method["name"], _method(method, told["cannot_see"])) for method in told["findings"]
    )


def _method(told: Mapping[str, Any], cannot_see: str) -> Method:
    said = {field.name: told[field.name] for field in fields(Method) if field.name in told}
    return Method(**{"cannot_see": cannot_see, **said})
