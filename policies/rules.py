"""Policy packs: what people write in YAML, checked to the last key before anything is judged.

Does not see: whether the law is as a rule says it is. A citation is the writer's claim.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError, PydanticSerializationError, to_json

from governance.canon import parse_yaml, sha256
from governance.errors import UsageError
from governance.records import PolicyUsed
from policies.compile import Condition, parse

PACKAGED = "package:"  # how a pack that came with the program is named in a decision
OURS = "pramana"  # the pack of what holds by construction; nobody else may write it
MAX_WAIVER_DAYS = 180
CRITICAL_QUORUM, DPO = 2, "dpo"  # who has to agree before a critical rule is set aside
SENTENCES = 5  # about one file; whoever mends these sees the next

Scope = Literal["sample", "group", "snapshot", "run"]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


def _condition(text: str) -> str:
    try:
        parse(text.strip())
    except UsageError as fault:
        raise _wrong(str(fault)) from None
    return text.strip()


def _wrong(sentence: str) -> PydanticCustomError:
    """Return what Pydantic reports with rule and key. It keeps a ValueError alive for ever."""
    return PydanticCustomError("policy", "{sentence}", {"sentence": sentence})


def _listed(value: object) -> object:
    match value:
        case str():
            return (value,)
        case [*names]:
            return tuple(names)
        case _:
            return value


Share = Annotated[str, Field(pattern=r"^(100|[0-9]{1,2}(\.[0-9]+)?) ?%$")]  # of those it applies to
Sql = Annotated[Text, AfterValidator(_condition)]
Role = Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$", max_length=80)]
Names = Annotated[tuple[Text, ...], BeforeValidator(_listed)]


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Regime(_Written):
    """What a pack is about, and where."""

    name: Text
    jurisdiction: Text


class Cite(_Written):
    """The text that a rule rests on."""

    instrument: Text
    section: Text | None = None
    url: Text | None = None

    def __str__(self) -> str:
        return ", ".join(part for part in (self.instrument, self.section, self.url) if part)


class Evidence(_Written):
    """What a rule reads: the columns, and the audits that must have been run."""

    audit: Names = ()  # none where the manifest or the engine itself says it
    columns: tuple[Text, ...]


class Waive(_Written):
    """Who may set a rule aside, how many of them, and for how long.

    `including` are roles of which each must be among those who approve.
    """

    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    quorum: Annotated[int, Field(ge=1)] = 1
    including: tuple[Role, ...] = ()
    max_days: Annotated[int, Field(ge=1, le=MAX_WAIVER_DAYS)]

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if not set(self.including) <= set(self.roles) or len(self.including) > self.quorum:
            raise _wrong("waive.including names roles of waive.roles, no more than the quorum.")
        return self

    def meets(self, severity: str) -> bool:
        """Return whether so few may waive a rule of this severity."""
        return severity != "critical" or (self.quorum >= CRITICAL_QUORUM and DPO in self.including)


class Rule(_Written):
    """A condition that a sample, a group, the snapshot or the run must satisfy."""

    id: Annotated[str, Field(pattern="^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*$", max_length=80)]
    cite: Cite
    applies_from: date | None = None
    status: Literal["in_force", "future", "proposed", "voluntary"]
    severity: Literal["info", "low", "medium", "high", "critical"]
    on: Annotated[str, Field(pattern=r"^(sample|snapshot|run|group\([a-z_][a-z0-9_]*\))$")]
    evidence: Evidence
    when: Sql | None = None
    require: Sql
    tolerance: Annotated[int, Field(ge=0)] | Share = 0
    remedy: Literal["exclude", "quarantine", "block", "record"]
    waive: Literal["never"] | Waive
    why: Text

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.status == "future" and self.applies_from is None:
            raise _wrong("A future rule says from when it applies; give applies_from.")
        if self.scope != "sample" and self.remedy in {"exclude", "quarantine"}:
            raise _wrong(f"Only samples can be put under {self.remedy}; use block or record.")
        if isinstance(self.waive, Waive) and not self.waive.meets(self.severity):
            raise _wrong(
                "A critical rule is waived by two persons, one of them the data protection "
                "officer: write quorum: 2 (or more) and including: [dpo], or waive: never."
            )
        if self.group == "caption":
            raise _wrong("Captions are hostile text and are never printed as groups.")
        listed, read = set(self.evidence.columns), set(self.reads | {self.group}) - {""}
        if listed != read:
            raise _wrong(
                f"evidence.columns lists {sorted(listed)} and the conditions read {sorted(read)}; "
                "list what is read."
            )
        return self

    @property
    def scope(self) -> Scope:
        """Return what the rule is about."""
        match self.on:
            case "sample" | "snapshot" | "run":
                return self.on
            case _:
                return "group"

    @property
    def group(self) -> str:
        """Return the column whose values make the groups; '' for any other rule."""
        return self.on[len("group(") : -1] if self.scope == "group" else ""

    @property
    def conditions(self) -> tuple[Condition, Condition]:
        """Return when the rule applies, and what it then requires."""
        return parse(self.when or "TRUE"), parse(self.require)

    @property
    def reads(self) -> frozenset[str]:
        """Return the columns that the conditions read."""
        when, require = self.conditions
        return when.columns | require.columns

    @property
    def text(self) -> str:
        """Return the condition as one line, as it goes into the decision."""
        require = " ".join(self.require.split())
        return f"WHEN {' '.join(self.when.split())} REQUIRE {require}" if self.when else require

    def in_force(self, as_of: date) -> bool:
        """Return whether the rule is enforced on a day. What is only proposed never is."""
        return self.status != "proposed" and (
            self.applies_from is None or self.applies_from <= as_of
        )

    def tolerated(self, applicable: int) -> int:
        """Return how many violations are tolerated among those the rule applies to."""
        if isinstance(self.tolerance, int):
            return self.tolerance
        share = Fraction(self.tolerance.removesuffix("%").strip()) / 100
        return int(share * applicable)


class Example(_Written):
    """Rows with a known answer that a pack brings along."""

    rule: Text
    row: dict[str, JsonValue] | None = None
    rows: tuple[dict[str, JsonValue], ...] = ()
    as_of: date | None = None  # without a day, a rule that has a date is taken as in force
    expect: Literal["satisfied", "violated", "not-in-force"]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.row is None) == (not self.rows):
            raise _wrong("A test has either a row or rows.")
        return self

    @property
    def all_rows(self) -> tuple[dict[str, JsonValue], ...]:
        """Return the rows, however they were written."""
        return self.rows if self.row is None else (self.row,)


class Policy(_Written):
    """A pack as it is written."""

    schema_: Annotated[Literal["pramana.policy/v1"], Field(alias="schema")]
    id: Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$", max_length=80)]
    version: Text
    regime: Regime
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    tests: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _names(self) -> Self:
        ids = [rule.id for rule in self.rules]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise _wrong(f"The rule id {twice[0]!r} stands twice.")
        if self.id == OURS or any(name.startswith(f"{OURS.upper()}-") for name in ids):
            raise _wrong(f"The name {OURS!r} is kept for what holds by construction.")
        stray = sorted({test.rule for test in self.tests} - set(ids))
        if stray:
            raise _wrong(f"A test names the rule {stray[0]!r}, which the pack does not have.")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A text that judges: its name, where it was read, and its exact bytes."""

    id: str
    version: str
    source: str
    data: bytes

    @property
    def used(self) -> PolicyUsed:
        """Return how a decision names this text."""
        return PolicyUsed(
            id=self.id, version=self.version, source=self.source, sha256=sha256(self.data)
        )


@dataclass(frozen=True, slots=True)
class Pack:
    """A policy, and the bytes it was read from."""

    policy: Policy
    source: Source

    @property
    def id(self) -> str:
        """Return the name of the pack."""
        return self.policy.id

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return the rules in the order they were written."""
        return self.policy.rules


def packaged(name: str) -> bytes:
    """Return a text that came with the program. Raises OSError.

    A name begins below `policies/`, or with `governance/` where audits read the text too.
    """
    first, *rest = name.split("/")
    package, parts = ("governance", rest) if first == "governance" else ("policies", [first, *rest])
    return resources.files(package).joinpath(*parts).read_bytes()


def pack_names() -> tuple[str, ...]:
    """Return the names of the packs that come with the program."""
    folder = resources.files("policies") / "packs"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(n.removesuffix(".yaml") for n in names if n.endswith(".yaml")))


def load_pack(name_or_path: str | Path) -> Pack:
    """Read a pack by its name, or by the path of a YAML file.

    Raises:
        UsageError: there is no such pack, or it is not one: the sentence names file, rule and key.
    """
    if name_or_path in pack_names():
        name = f"packs/{name_or_path}.yaml"
        return read_pack(packaged(name), source=f"{PACKAGED}{name}")
    path = Path(name_or_path)
    if not path.is_file():
        raise UsageError(
            f"There is no policy {path.name!r}. With the program come {', '.join(pack_names())}; "
            "for one of your own give the path of its YAML file."
        )
    return read_pack(path.read_bytes(), source=str(path))


def unchanged(used: PolicyUsed) -> bool:
    """Return whether a text that judged still has the same bytes in the place it was read from."""
    try:
        name = used.source.removeprefix(PACKAGED)
        data = packaged(name) if name != used.source else Path(name).read_bytes()
    except OSError:
        return False
    return sha256(data) == used.sha256


def read_pack(data: bytes, *, source: str) -> Pack:
    """Read a pack from its bytes. Raises UsageError naming file, rule and key."""
    name = Path(source).name
    written: object = None
    try:
        written = parse_yaml(data.decode())
        policy = Policy.model_validate_json(to_json(written, inf_nan_mode="constants"))
    except (UnicodeDecodeError, PydanticSerializationError):
        raise UsageError(f"Policy {name} is not UTF-8 text; save it as UTF-8.") from None
    except ValidationError as fault:
        sentences = " ".join(_sentences(fault, written))
        raise UsageError(f"Policy {name}: {sentences}") from None
    except UsageError as fault:
        raise UsageError(f"Policy {name}: {fault}") from None
    return Pack(policy, Source(id=policy.id, version=policy.version, source=source, data=data))


def _sentences(fault: ValidationError, written: object) -> Iterator[str]:
    for error in fault.errors(include_url=False, include_input=False)[:SENTENCES]:
        yield f"{_place(error, written)}{error['msg'].removesuffix('.')}."


def _place(error: ErrorDetails, written: object) -> str:
    match error["loc"]:
        case ("rules", int(index), *keys):
            rule = _rule_id(written, index)
            return f"rule {rule}, key {'.'.join(map(str, keys))!r}: " if keys else f"rule {rule}: "
        case ():
            return ""
        case keys:
            return f"key {'.'.join(map(str, keys))!r}: "


def _rule_id(written: object, index: int) -> str:
    match written:
        case {"rules": [*rules]} if isinstance(rules[index], dict) and "id" in rules[index]:
            return repr(rules[index]["id"])
        case _:
            return f"number {index + 1}"
