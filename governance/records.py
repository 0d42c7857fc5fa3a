"""The records that flow between the rooms: findings, rule results, decisions.

A record is frozen, its JSON is canonical, and its id is the digest of that JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from governance.canon import Json, canonical, digest, parse_json
from governance.errors import Tampered, UsageError

# Kinds of acts that more than one room asks the ledger about.
SPENT = "clearance.spent"
FINISHED = "run.finished"
RUN_ENDS = (FINISHED, "run.expired", "run.halted")  # after one of these a run never goes on

Verdict = Literal["pass", "pass-with-waivers", "block"]
RuleStatus = Literal["satisfied", "violated", "not-in-force", "at-run", "waived"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A fact about the dataset: one number, its 95 % interval, the samples behind it.

    `value` is a count or a share as `name` says; `low` and `high` are None where no interval
    applies. `note` is one sentence: what was seen, or what this audit cannot see.
    """

    audit: str
    name: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    ids: tuple[str, ...] = ()
    note: str = ""

    def to_json(self) -> dict[str, Json]:
        """Return the finding as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyUsed:
    """Which policy judged: its id, version, where it was read and the digest of its bytes."""

    id: str
    version: str
    source: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What one rule concluded. `violations` counts samples, groups, or 1 for snapshot and run.

    `waived` counts what would violate it too, and is set aside by a waiver.
    """

    id: str
    policy: str
    on: Literal["sample", "group", "snapshot", "run"]
    status: RuleStatus
    violations: int
    remedy: Literal["exclude", "quarantine", "block", "record"]
    severity: str
    require: str
    cite: str
    why: str
    in_force_from: str | None = None
    detail: str = ""
    waived: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """What an approved waiver sets aside: one rule of one policy's bytes, on one snapshot.

    `samples` are ids for a rule about samples; None means the whole snapshot, for any other rule.
    """

    id: str
    policy: str
    policy_sha256: str
    rule: str
    snapshot: str
    samples: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the rules concluded about one snapshot, and the digests of all they looked at.

    `measures` is the digest over the parts, `audits` over the audits' settings, `audit_code` over
    their source and weights, `findings` over the findings. Roots are hex; counts are samples.
    """

    snapshot: str
    samples: int
    measures: str
    audits: str
    audit_code: str
    findings: str
    as_of: str
    verdict: Verdict
    cleared_root: str
    cleared: int
    excluded: int
    policies: tuple[PolicyUsed, ...]
    rules: tuple[RuleResult, ...]
    waivers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return the decision as JSON."""
        return asdict(self)

    @property
    def id(self) -> str:
        """Return the digest that names this decision."""
        return digest(self.to_json())

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read a decision back. Raises Tampered when a field is missing or unknown."""
        fields = as_object(value, "a decision")
        try:
            return cls(
                **{
                    **fields,
                    "policies": tuple(PolicyUsed(**p) for p in fields["policies"]),
                    "rules": tuple(RuleResult(**r) for r in fields["rules"]),
                    "waivers": tuple(fields["waivers"]),
                }
            )
        except (KeyError, TypeError) as fault:
            raise Tampered(f"This record is not a decision: {fault}.") from None


def as_object(value: Json, what: str) -> dict[str, Any]:
    """Return `value` as a JSON object: the JSON border. Raises Tampered when it is not one."""
    if not isinstance(value, Mapping):
        raise Tampered(f"Expected {what} as a JSON object, found {type(value).__name__}.")
    return dict(value)


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """Parse bytes that were written by us as a JSON object. Raises Tampered when they are not."""
    try:
        return as_object(parse_json(data), what)
    except UsageError as fault:
        raise Tampered(f"Expected {what}. {fault}") from None


def findings_bytes(findings: Sequence[Finding]) -> bytes:
    """Return the canonical bytes of findings, in the order the audits gave them."""
    return canonical([finding.to_json() for finding in findings])
