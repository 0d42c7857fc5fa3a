"""Cases: suspected images that a person has to look into, and what the ledger says of each.

A case is opened by an audit and closed by a person who names a reference; it holds which image, of
which place, and which detector or list, never what is in it. Nothing here reports to anybody, and
nothing is deleted (CS-14). Who closed a case stands in the ledger as a salted tag; the name and the
reference stand in a record beside it.

Does not see: whether a suspicion is right. That is for people and for authorities to say.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import pyarrow as pa

from governance.canon import Json, canonical, printable
from governance.errors import UsageError
from governance.records import as_object, json_object
from governance.signers.salts import tag
from governance.trail.ledger import Ledger
from governance.workspace import Workspace

OPENED, CLOSED = "case-opened", "case-closed"
Outcome = Literal["reported", "not-reportable"]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
LEAST, LONGEST = 6, 200  # hex digits of a prefix; characters a person types
_PREFIX = re.compile(rf"[0-9a-f]{{{LEAST},64}}")

# Where a suspicion is reported, by the operator's country; as of 22 November 2026, for counsel.
# Source: POCSO Act 2012 s.19 and s.20; 18 USC 2258A; iwf.org.uk; inhope.org
ROUTES: Final[Mapping[str, str]] = {
    "IN": "cybercrime.gov.in, telephone 1930, the Special Juvenile Police Unit or local police",
    "US": "the NCMEC CyberTipline, report.cybertip.org",
    "GB": "the Internet Watch Foundation, report.iwf.org.uk",
    "": "the national hotline of the INHOPE network, inhope.org, or local police",
}
COUNSEL: Final = (
    "Ask counsel before deleting: authorities, or 18 USC 2258A(h) in the US, may require "
    "preservation. Do not open, copy or move it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """When a case was closed and how it ended; `by` is the tag of who closed it.

    `record` is the digest under which the name and the reference are kept.
    """

    at: str
    by: str
    record: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One suspected image under one rule: where it lies, and what suspects it.

    `by` names the detector or list with its version, `rule` is CS-01 or CS-07.
    """

    sha256: str
    rule: str
    by: str
    snapshot: str
    sample: str
    shard: int
    row: int
    opened_at: str
    closing: Closing | None = None


def cases(ledger: Ledger) -> list[Case]:
    """Return all cases, in the order in which they were opened."""
    found: dict[tuple[str, str], Case] = {}
    for entry in ledger.entries():
        if entry.kind == OPENED:
            case = Case(**as_object(entry.body, "a case"), opened_at=entry.at)
            found[case.sha256, case.rule] = case
        if entry.kind == CLOSED:
            said = as_object(entry.body, "a closing")
            key = said.pop("sha256"), said.pop("rule")
            found[key] = replace(found[key], closing=Closing(**said, at=entry.at))
    return list(found.values())


def open_cases(ledger: Ledger, samples: pa.Table, *, snapshot: str) -> None:
    """Open a case for each suspected image that has none under its rule.

    Args:
        ledger: where the cases stand.
        samples: `id`, `sha256`, `shard`, `row`, `suspected`, `suspected_by` of each sample.
        snapshot: the root of the snapshot they are in.
    """
    known = {(case.sha256, case.rule) for case in cases(ledger)}
    names = ["id", "sha256", "shard", "row", "suspected_by"]
    for row in samples.filter(samples["suspected"]).select(names).to_pylist():
        rule, _, by = row["suspected_by"].partition(" ")
        if (row["sha256"], rule) in known:
            continue
        known.add((row["sha256"], rule))
        body: dict[str, Json] = {
            "sha256": row["sha256"], "rule": rule, "by": by, "snapshot": snapshot,
            "sample": row["id"], "shard": row["shard"], "row": row["row"],
        }  # fmt: skip
        ledger.append(OPENED, body)


def close_case(
    workspace: Workspace, prefix: str, *, reference: str, by: str, outcome: Outcome
) -> list[Case]:
    """Close the case of one image, under each rule for which it is open, and return what closed.

    Args:
        workspace: in whose ledger the cases stand.
        prefix: the beginning of the image's SHA-256.
        reference: of the report, or of the record of why none was owed.
        by: who closes it.
        outcome: whether it was reported.

    Raises:
        UsageError: no open case or several begin so, or who or which reference is not said.
    """
    said = {"by": by.strip(), "reference": reference.strip()}
    for name, text in said.items():
        if not text or len(text) > LONGEST or printable(text) != text:
            raise UsageError(
                f"Closing a case takes {name} as 1 to {LONGEST} plain characters; say it."
            )
    if not _PREFIX.fullmatch(prefix):
        raise UsageError(f"Name a case by at least {LEAST} hex digits of its SHA-256.")
    ledger = workspace.ledger
    found = [c for c in cases(ledger) if c.closing is None and c.sha256.startswith(prefix)]
    images = {case.sha256 for case in found}
    if len(images) != 1:
        raise UsageError(
            f"{len(images)} open cases begin with {prefix}; `pramana case list` names them."
        )
    record = workspace.store(canonical({**said, "nonce": secrets.token_hex(16)}))
    told = {"outcome": outcome, "by": tag(workspace.salts, said["by"]), "record": record}
    for case in found:
        ledger.append(CLOSED, {"sha256": case.sha256, "rule": case.rule, **told})
    return found


def closed_by(workspace: Workspace, closing: Closing) -> tuple[str, str]:
    """Return who closed a case and under which reference. Raises EvidenceMissing, Tampered."""
    said = json_object(workspace.load(closing.record, "who closed a case"), "a closing")
    return str(said.get("by", "")), str(said.get("reference", ""))


def closed(known: list[Case], digests: pa.ChunkedArray) -> pa.Array:
    """Return, for each image digest, whether its cases are closed; null where it never had one."""
    standing: dict[str, bool] = {}
    for case in known:
        standing[case.sha256] = standing.get(case.sha256, True) and case.closing is not None
    if not standing:
        return pa.nulls(len(digests), pa.bool_())
    return pa.array([standing.get(digest) for digest in digests.to_pylist()], pa.bool_())


def route(country: str) -> str:
    """Return where a suspicion is reported from a country (ISO 3166-1 alpha-2, or '')."""
    code = {"UK": "GB"}.get(country.strip().upper(), country.strip().upper())
    return ROUTES.get(code, ROUTES[""])
