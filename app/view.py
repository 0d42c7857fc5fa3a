"""What the screens show: records and files in, rows of text and numbers out.

Pure: no Streamlit, no SQL, no pandas. Ids and names of groups come from a dataset and are hostile;
here they stay plain text, and whoever lays out a row must keep a browser from reading them as
Markdown or HTML.

Does not see: captions and pictures of the dataset. No row holds either.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from governance.canon import Json, file_sha256, printable
from governance.errors import Tampered
from governance.records import Decision, RuleStatus, Verdict
from governance.snapshot import read_table
from governance.trail.ledger import Entry, Ledger
from governance.trail.proofs import ProofFile, write_proof
from governance.trail.witness import check_cosigned
from governance.workspace import Workspace

Tone = Literal["green", "orange", "red"]
VERDICTS: Final[Mapping[Verdict, tuple[str, str, Tone]]] = {
    "pass": ("✓", "PASS", "green"),
    "pass-with-waivers": ("◐", "PASS WITH WAIVERS", "orange"),
    "block": ("✕", "BLOCK", "red"),
}
STATUSES: Final[Mapping[RuleStatus, str]] = {
    "violated": "✕ violated",
    "waived": "◐ waived",
    "satisfied": "✓ satisfied",
    "at-run": "◷ asked at the run",
    "not-in-force": "○ not in force yet",
}
EXCLUDED: Final = pa.schema([(c, pa.string()) for c in ("id", "policy", "rule", "remedy", "why")])
LEDGER_FILE, EXCLUDED_FILE = "ledger.db", "excluded.parquet"
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
SHORT = 12  # hex digits people compare by eye
LONGEST = 80  # characters of one value in the trail


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """One decision the ledger knows of: its digest, when it was made, what it said."""

    id: str
    at: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The verdict strip: a symbol, a word and a colour, counts of samples, and one sentence."""

    symbol: str
    word: str
    tone: Tone
    cleared: int
    excluded: int
    samples: int
    as_of: str
    policies: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """One rule as people read it. `violations` and `waived` count what `on` names."""

    id: str
    status: str
    violations: int
    waived: int
    on: str
    remedy: str
    severity: str
    in_force_from: str
    policy: str
    require: str
    cite: str
    why: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludedRow:
    """One sample under one rule that took it out."""

    id: str
    rule: str
    remedy: str
    why: str
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRow:
    """How many samples one rule took out; a sample may stand under several rules."""

    rule: str
    remedy: str
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailRow:
    """One act in the ledger."""

    number: int
    at: str
    kind: str
    what: str


def is_started(workspace: Workspace) -> bool:
    """Say whether anything was ever recorded here, without making a ledger or keys."""
    return (workspace.state / LEDGER_FILE).is_file()


def short(digest: str) -> str:
    """Return the part of a digest that people compare by eye."""
    return digest[:SHORT]


def percent(share: float) -> str:
    """Return a share (0..1) in per cent, to one place."""
    return f"{100 * share:.1f} %"


def decisions(ledger: Ledger) -> list[DecisionRow]:
    """Return the decisions the ledger knows of, the latest first; one made again stands once."""
    made = {str(entry.body["decision"]): entry for entry in _decided(ledger)}
    latest = sorted(made.items(), key=lambda item: item[1].number, reverse=True)
    return [
        DecisionRow(id=name, at=minute(entry.at), verdict=_verdict(entry.body.get("verdict")))
        for name, entry in latest
    ]


def summary(decision: Decision) -> Summary:
    """Return the verdict strip of a decision."""
    symbol, word, tone = VERDICTS[decision.verdict]
    judges = {rule.policy for rule in decision.rules}  # the rest are tables that the rules read
    return Summary(
        symbol=symbol,
        word=word,
        tone=tone,
        cleared=decision.cleared,
        excluded=decision.excluded,
        samples=decision.samples,
        as_of=decision.as_of,
        policies=", ".join(f"{p.id} {p.version}" for p in decision.policies if p.id in judges),
        sentence=_sentence(decision),
    )


def rule_rows(decision: Decision) -> list[RuleRow]:
    """Return the rules, those that call for a person first."""
    order = list(STATUSES)
    ranked = sorted(
        decision.rules,
        key=lambda r: (order.index(r.status), r.remedy != "block", -r.violations, r.id),
    )
    return [
        RuleRow(
            id=rule.id,
            status=STATUSES[rule.status],
            violations=rule.violations,
            waived=rule.waived,
            on=rule.on,
            remedy=rule.remedy,
            severity=rule.severity,
            in_force_from=rule.in_force_from or "now",
            policy=rule.policy,
            require=rule.require,
            cite=rule.cite,
            why=rule.why,
            detail=rule.detail,
        )
        for rule in ranked
    ]


def excluded(workspace: Workspace, decision: Decision) -> pa.Table:
    """Return which samples a decision took out, under which rules.

    Raises:
        EvidenceMissing: the table is gone.
        Tampered: it is not the one the ledger recorded.
    """
    path = workspace.decision_folder(decision.id) / EXCLUDED_FILE
    table = read_table(path, EXCLUDED)
    recorded = {str(e.body.get("excluded_sha256")) for e in _decided(workspace.ledger, decision.id)}
    if recorded != {file_sha256(path)}:
        raise Tampered(
            f"The excluded samples of decision {short(decision.id)} are not those the ledger "
            "recorded. Run `pramana audit` again."
        )
    return table


def drops(table: pa.Table) -> list[DropRow]:
    """Return how many samples each rule took out, the greediest rule first."""
    counts = table.group_by(["rule", "remedy"]).aggregate([("id", "count")]).to_pylist()
    rows = [DropRow(rule=c["rule"], remedy=c["remedy"], samples=c["id_count"]) for c in counts]
    return sorted(rows, key=lambda row: (-row.samples, row.rule))


def excluded_rows(
    table: pa.Table, *, rules: Collection[str] = (), start: int = 0, limit: int = 100
) -> tuple[int, list[ExcludedRow]]:
    """Return how many rows these rules (none: all rules) have, and the rows of one page."""
    if rules:
        table = table.filter(pc.field("rule").isin(sorted(rules)))
    page = table.slice(start, limit).to_pylist()
    rows = [ExcludedRow(**{key: printable(str(row[key])) for key in row}) for row in page]
    return table.num_rows, rows


def trail(ledger: Ledger) -> list[TrailRow]:
    """Return every act, the latest first."""
    return [
        TrailRow(number=e.number, at=second(e.at), kind=e.kind, what=_told(e.body))
        for e in reversed(ledger.entries())
    ]


def proof(ledger: Ledger, number: int) -> str:
    """Return the proof that the ledger holds an act, with the act itself as its extra data.

    Source: c2sp.org/tlog-proof. Raises EvidenceMissing, Tampered.
    """
    made = ProofFile.parse(write_proof(ledger, number))
    return replace(made, extra=ledger.leaf(number)).text()


def seen_by(workspace: Workspace) -> list[tuple[str, str]]:
    """Return which witnesses cosigned the newest checkpoint that any of them saw, and when.

    Raises:
        Tampered: a cosignature beside it is a bad one.
    """
    ledger, trust = workspace.ledger, workspace.keyring.trust()
    sizes = ledger.cosigned()
    if not sizes:
        return []
    seen = check_cosigned(ledger.note(sizes[-1]), trust, at_least=0)
    return [
        (person, f"{datetime.fromtimestamp(at, UTC):%d %b %Y, %H:%M} UTC") for person, at in seen
    ]


def second(at: str) -> str:
    """Return an ISO 8601 time to the second, in UTC, so that text order is time order."""
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S}"


def minute(at: str) -> str:
    """Return an ISO 8601 time as people read it, to the minute, in UTC."""
    return f"{datetime.fromisoformat(at):%d %b %Y, %H:%M} UTC"


def _decided(ledger: Ledger, decision: str | None = None) -> list[Entry]:
    """Return the ledger's entries on decisions, or on one of them."""
    return [e for e in ledger.entries("decided") if decision in (None, e.body["decision"])]


def _verdict(said: Json) -> str:
    return next((f"{sign} {word}" for v, (sign, word, _) in VERDICTS.items() if v == said), "")


def _sentence(decision: Decision) -> str:
    """Return one sentence: what may be trained on, or what stands in the way."""
    if decision.verdict != "block":
        return f"{decision.cleared:,} of {decision.samples:,} samples may be trained on."
    doors = [r.id for r in decision.rules if r.status == "violated" and r.remedy == "block"]
    return "Nothing may be trained on. " + (f"In the way: {', '.join(doors)}." if doors else "")


def _told(body: Mapping[str, Json]) -> str:
    """Return what an act says, words before digests."""
    said = sorted(body.items(), key=lambda item: bool(DIGEST.fullmatch(str(item[1]))))
    return "  ·  ".join(f"{key} {_brief(value)}" for key, value in said)


def _brief(value: Json) -> str:
    text = printable(value if isinstance(value, str) else str(value))
    if DIGEST.fullmatch(text):
        return short(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
