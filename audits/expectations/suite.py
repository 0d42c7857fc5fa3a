"""A versioned suite of expectations, and Great Expectations (GX) that counts what is not so.

The suite says what is usual; it judges nothing. GX is imported when it is needed (it takes
seconds), runs in memory on a pandas frame of the columns a suite names, without analytics, progress
bars or files. Does not see: captions, which no suite may name.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeAlias

import pyarrow as pa
from pydantic import Field, StringConstraints, ValidationError, model_validator

from audits.settings import Label, Written, place_of
from governance.canon import Json, parse_yaml, sha256
from governance.errors import EvidenceMissing, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuiteValidationResult

PACKAGED: Final = "quality-2.yaml"
ID: Final = "id"
Column: TypeAlias = Literal[
    "id", "sha256", "size_bytes", "decoded", "width_px", "height_px", "frames", "trailing_bytes",
    "aspect", "blur", "entropy", "brightness", "caption_chars", "caption_words", "caption_script",
]  # fmt: skip
Kind: TypeAlias = Literal["unique", "not_null", "match_regex", "in_set", "not_in_set", "between"]
Result: TypeAlias = Mapping[str, Any]  # what GX says of one expectation: a JSON border
Number: TypeAlias = int | float

TAKES: Final = MappingProxyType({
    "match_regex": frozenset({"regex"}), "in_set": frozenset({"values"}),
    "not_in_set": frozenset({"values"}), "between": frozenset({"min", "max"}),
})  # fmt: skip
_ARGUMENTS: Final = MappingProxyType(
    {"min": "min_value", "max": "max_value", "regex": "regex", "values": "value_set"}
)
_VERBS: Final = MappingProxyType({
    "unique": "be_unique", "not_null": "not_be_null", "match_regex": "match_regex",
    "in_set": "be_in_set", "not_in_set": "not_be_in_set", "between": "be_between",
})  # fmt: skip


class Expectation(Written):
    """What is usual of one column; a value that is not so counts under the finding's name."""

    finding: Label
    column: Column
    kind: Kind
    severity: Literal["info", "warning", "critical"]
    min: Number | None = None
    max: Number | None = None
    regex: str | None = None
    values: list[str | bool] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        takes = TAKES.get(self.kind, frozenset())
        given = {name for name in _ARGUMENTS if getattr(self, name) not in (None, [])}
        if not given <= takes or bool(given) != bool(takes):
            raise ValueError(f"{self.kind} takes {' or '.join(sorted(takes)) or 'nothing more'}")
        return self

    @property
    def usual(self) -> str:
        """What is usual, in words."""
        listed = ", ".join(map(repr, self.values))
        ends = {"at least": self.min, "at most": self.max}
        words = {
            "unique": "each value once",
            "not_null": "a value",
            "match_regex": f"like {self.regex}",
            "in_set": f"one of {listed}",
            "not_in_set": f"other than {listed}",
            "between": " and ".join(f"{k} {v:g}" for k, v in ends.items() if v is not None),
        }
        return words[self.kind]

    def to_gx(self) -> dict[str, Json]:
        """Return the expectation as GX has it."""
        arguments: dict[str, Json] = {
            name: getattr(self, ours)
            for ours, name in _ARGUMENTS.items()
            if ours in TAKES.get(self.kind, ())
        }
        return {
            "type": f"expect_column_values_to_{_VERBS[self.kind]}",
            "kwargs": {"column": self.column, **arguments},
            "severity": self.severity,
            "meta": {"finding": self.finding},
        }


class SuiteFile(Written):
    """The file of a suite, as people write it."""

    name: Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9-]{0,39}$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][0-9.]{0,19}$")]
    expectations: Annotated[list[Expectation], Field(min_length=1)]

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [expectation.finding for expectation in self.expectations]
        if len(set(names)) < len(names):
            raise ValueError("a finding stands twice; name each once")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite and the digest of the file it was read from."""

    name: str
    version: str
    sha256: str
    expectations: tuple[Expectation, ...]

    @classmethod
    def read(cls, data: bytes, what: str) -> Self:
        """Read a suite from its YAML. Raises UsageError naming its first wrong key."""
        try:
            told = SuiteFile.model_validate(parse_yaml(data.decode()))
        except UnicodeDecodeError:
            raise UsageError(f"The suite {what} is no text; write it as YAML in UTF-8.") from None
        except ValidationError as fault:
            first = fault.errors(include_url=False, include_input=False, include_context=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise UsageError(f"The suite {what}, key {key[:80]!r}: {first['msg']}.") from None
        return cls(
            name=told.name,
            version=told.version,
            sha256=sha256(data),
            expectations=tuple(told.expectations),
        )

    @classmethod
    def at(cls, path: str, folder: Path) -> Self:
        """Read an operator's suite. Raises EvidenceMissing, UsageError."""
        return cls.read(place_of(path, folder, "suite").read_bytes(), Path(path).name)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns the suite names, and the id, each once."""
        return tuple(dict.fromkeys([ID, *(one.column for one in self.expectations)]))

    def __str__(self) -> str:
        return f"suite {self.name} {self.version}, sha256 {self.sha256[:12]}"


@cache
def packaged() -> Suite:
    """Return the suite that comes with the program."""
    data = (resources.files("audits.expectations") / "suites" / PACKAGED).read_bytes()
    return Suite.read(data, PACKAGED)


def frame_of(measures: pa.Table, suite: Suite) -> "pd.DataFrame":
    """Return the columns a suite names, as GX reads them. Raises EvidenceMissing: one is absent."""
    if absent := sorted(set(suite.columns) - set(measures.column_names)):
        raise EvidenceMissing(f"The measures lack {', '.join(absent)}; audit again.")
    frame: pd.DataFrame = measures.select(suite.columns).to_pandas()
    return frame


def validated(
    frame: "pd.DataFrame", suite: Suite, *, complete: bool
) -> "ExpectationSuiteValidationResult":
    """Return what GX says of a frame; it never keeps an unexpected value.

    Args:
        frame: the columns of the suite.
        suite: what is usual.
        complete: whether to list the rows that are not so; without, they are only counted.

    Raises:
        EvidenceMissing: GX is not installed.
    """
    gx, bars = _gx()
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = bars
    asset = context.data_sources.add_pandas("pramana").add_dataframe_asset("measures")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    return batch.validate(
        gx.ExpectationSuite(name=suite.name, expectations=[e.to_gx() for e in suite.expectations]),
        result_format={
            "result_format": "COMPLETE" if complete else "SUMMARY",
            "exclude_unexpected_values": True,
        },
    )


def gx_version() -> str:
    """Return the version of GX. Raises EvidenceMissing: it is not installed."""
    return str(_gx()[0].__version__)


def _gx() -> tuple[Any, Any]:
    """Return GX and a setting that draws no progress bars. Raises EvidenceMissing."""
    try:
        with warnings.catch_warnings():  # its own import of two modules Python will drop
            warnings.filterwarnings("ignore", r"module 'sre_\w+' is deprecated", DeprecationWarning)
            import great_expectations as gx  # noqa: PLC0415  heavy
            from great_expectations.data_context.types import base  # noqa: PLC0415  heavy
    except ModuleNotFoundError:
        raise EvidenceMissing("The quality suite needs pramana[quality]: install it.") from None
    return gx, base.ProgressBarsConfig(globally=False)
