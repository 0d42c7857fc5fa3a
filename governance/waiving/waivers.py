"""Waivers as documents: a request to set one rule aside, and what people say to it.

Each is an in-toto statement that one person's key signs. A request names the rule, the policy's
bytes, exactly which samples, why, what is done instead, and until when. An approval signs the
digest of the very text that was shown; whoever verifies renders that text again.

Does not see: whether a reason is a good one, or whether two names are one person.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import pyarrow as pa
import pyarrow.compute as pc

from governance.canon import Json, canonical, parse_json, parse_yaml, printable, sha256
from governance.errors import Refused, Tampered, UsageError
from governance.records import as_object
from governance.signers.trust import Trust, TrustedKey
from governance.snapshot import sample_leaves
from governance.statements import (
    APPROVAL,
    WAIVER,
    open_envelope,
    read_statement,
    signed_by,
    statement,
)
from governance.trail import merkle

Verb = Literal["approve", "reject", "revoke"]
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
SAMPLES, SNAPSHOT, SUBJECT = "samples", "snapshot", "waiver"  # what a statement is about
CHILD_SAFETY = "child-safety"  # the pack that no waiver reaches, whatever its text says
MAX_DAYS = 180  # no rule may allow more; policies cannot be written so either
LONGEST = 500  # characters of a reason or a measure

Document = TypeVar("Document", "Request", "Act")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """What a policy says of one rule: what it asks, on which law, and who may set it aside."""

    policy: str
    policy_sha256: str
    rule: str
    on: str
    severity: str
    cite: str
    require: str
    why: str
    roles: tuple[str, ...]
    including: tuple[str, ...]
    quorum: int
    max_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to set a rule aside.

    `subject` is the Merkle root over the samples (`about` samples), or the snapshot's root.
    `samples` is the digest of their list, '' for a whole snapshot. `renewals` counts the waivers
    of this rule that were granted here before. `size` and `root` are the ledger's when it was made.
    """

    about: str
    subject: str
    policy: str
    policy_sha256: str
    rule: str
    decision: str
    snapshot: str
    count: int
    samples: str
    reason: str
    measure: str
    ends_at: str
    owner: str
    requester: str
    roles: tuple[str, ...]
    including: tuple[str, ...]
    quorum: int
    max_days: int
    renewals: int
    size: int
    root: str
    nonce: str

    def payload(self) -> bytes:
        """Return the bytes that the requester signs."""
        said = asdict(self)
        subjects = {said.pop("about"): said.pop("subject")}
        return statement(WAIVER, subjects=subjects, predicate=said)

    @property
    def id(self) -> str:
        """Return the digest that names this waiver."""
        return sha256(self.payload())

    @classmethod
    def read(cls, payload: bytes) -> "Request":
        """Read a payload whose signature was verified. Raises Tampered when it is no request."""
        subjects, said = read_statement(payload, WAIVER)
        if len(subjects) != 1 or not set(subjects) <= {SAMPLES, SNAPSHOT}:
            raise Tampered("A waiver is about samples or a snapshot; this is about neither.")
        about, subject = next(iter(subjects.items()))
        found = _read(Request, {**said, "about": about, "subject": subject}, payload)
        for what in ("reason", "measure"):
            check_plain(what, getattr(found, what), Tampered)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person says to a request: approve, reject, or revoke once it is active.

    `shown` is the SHA-256 of the text that was shown; `reason` is '' for an approval. `size` and
    `root` are the ledger's when it was signed: after the request, or it was not seen then.
    """

    waiver: str
    verb: str
    person: str
    role: str
    shown: str
    reason: str
    size: int
    root: str
    nonce: str

    def payload(self) -> bytes:
        """Return the bytes that the person signs."""
        said = asdict(self)
        return statement(APPROVAL, subjects={SUBJECT: said.pop("waiver")}, predicate=said)

    @classmethod
    def read(cls, payload: bytes) -> "Act":
        """Read a payload whose signature was verified. Raises Tampered when it is no such act."""
        subjects, said = read_statement(payload, APPROVAL)
        found = _read(Act, {**said, "waiver": subjects.get(SUBJECT)}, payload)
        if found.verb not in VERBS:
            raise Tampered(f"A person approves, rejects or revokes; this says {found.verb!r}.")
        return found


def opened(
    envelope: bytes, kind: type[Document], trust: Trust, at: int
) -> tuple[Document, TrustedKey]:
    """Return a document and the key that signed it, once a person we trust signed these bytes.

    Args:
        envelope: as it was signed.
        kind: Request or Act.
        trust: whose signatures count.
        at: the number of the ledger's entry on it; a key counts for acts before its end.

    Raises:
        Refused: the key is unknown, ended, revoked, or no person's.
        Tampered: it is not such a document.
    """
    key = trust.holder(signed_by(envelope), at)
    if not key.person:
        raise Refused(f"The {key.role} key is a duty of the house; a waiver takes a person's key.")
    return kind.read(open_envelope(envelope, [key.public])), key


def clause_of(policy: bytes, rule: str) -> Clause:
    """Return what a policy's text says of one rule.

    Raises:
        Refused: the rule can never be waived, or the policy does not have it.
        Tampered: the text is no policy.
    """
    try:
        text = as_object(parse_yaml(policy.decode()), "a policy")
        found = next((r for r in text["rules"] if r["id"] == rule), None)
        if found is None or found["waive"] == "never" or text["id"] == CHILD_SAFETY:
            name = text["id"]
            raise Refused(f"Rule {rule} of the policy {name} can never be waived, or is not there.")
        return _clause(text["id"], sha256(policy), found)
    except (UsageError, KeyError, TypeError, ValueError, AttributeError) as fault:
        raise Tampered(f"This is not the text of a policy: {fault}.") from None


def shown(request: Request, clause: Clause) -> str:
    """Return the text that a person is shown and approves: the same text for the same request."""
    whole = f"the rule be set aside for the whole snapshot {request.snapshot}"
    some = f"{request.count} samples be set aside, whose Merkle root is {request.subject}"
    among = f", among them {_listed(clause.including)}" if clause.including else ""
    said = {
        "Rule": f"{clause.rule} of policy {clause.policy} (sha256 {clause.policy_sha256})",
        "Severity": clause.severity,
        "Requires": clause.require,
        "Rests on": clause.cite,
        "Because": clause.why,
        "Asked": f"that {some if request.about == SAMPLES else whole}",
        "Snapshot": request.snapshot,
        "Decision": request.decision,
        "Reason": request.reason,
        "Instead": request.measure,
        "Ends": f"{request.ends_at}; at most {clause.max_days} days were allowed",
        "Asks": f"{request.requester}; the data is owned by {request.owner}; neither may approve",
        "Needs": f"{clause.quorum} of the roles {_listed(clause.roles)}{among}",
        "Before": f"{request.renewals} waivers of this rule were granted here",
        "Ledger": f"size {request.size}, root {request.root}",
    }
    lines = (f"{name:9} {printable(text)}\n" for name, text in said.items())
    return f"Waiver {request.id}\n\n{''.join(lines)}"


def check_plain(what: str, text: str, wrong: type[Tampered | UsageError] = UsageError) -> None:
    """Raise unless a text is one line of plain characters, as it will be shown."""
    if not 0 < len(text) <= LONGEST or printable(text) != text or text.strip() != text:
        raise wrong(f"A waiver gives its {what} in one line of 1 to {LONGEST} plain characters.")


def sample_list(manifest: pa.Table, ids: Collection[str]) -> bytes:
    """Return the list of a sample set: each sample's 64-byte leaf in hex and its id, sorted.

    An id that the manifest does not have is not in the list.
    """
    found = manifest.filter(pc.field("id").isin(list(ids)))
    leaves = (leaf.hex() for leaf in sample_leaves(found))
    return canonical(sorted(zip(leaves, found["id"].to_pylist(), strict=True)))


def sample_root(listed: bytes) -> str:
    """Return the RFC 6962 root over a list of samples, in hex. Raises Tampered."""
    return merkle.root(bytes.fromhex(leaf) for leaf, _ in _pairs(listed)).hex()


def sample_ids(listed: bytes, request: Request) -> tuple[str, ...]:
    """Return the ids in a list, once it is the one that a request names. Raises Tampered."""
    pairs = _pairs(listed)
    known = (request.samples, request.subject, request.count)
    if (sha256(listed), sample_root(listed), len(pairs)) != known:
        raise Tampered(f"The list of samples is not the one that waiver {request.id[:12]} names.")
    return tuple(name for _, name in pairs)


def _pairs(listed: bytes) -> list[tuple[str, str]]:
    try:
        read: Any = parse_json(listed)
        found = [(str(leaf), str(name)) for leaf, name in read]
    except (UsageError, TypeError, ValueError):
        raise Tampered("A list of samples is pairs of a leaf and an id; restore it.") from None
    if found != sorted(found):
        raise Tampered("A list of samples is sorted by its leaves; restore it.")
    return found


def _clause(policy: str, policy_sha256: str, rule: Mapping[str, Json]) -> Clause:
    cite, waive = as_object(rule["cite"], "a citation"), as_object(rule["waive"], "a waive block")
    when, require = str(rule.get("when") or ""), str(rule["require"])
    return Clause(
        policy=policy,
        policy_sha256=policy_sha256,
        rule=str(rule["id"]),
        on=str(rule["on"]),
        severity=str(rule["severity"]),
        cite=", ".join(str(cite[k]) for k in ("instrument", "section", "url") if cite.get(k)),
        require=" ".join(f"{f'when {when}: ' if when else ''}{require}".split()),
        why=" ".join(str(rule["why"]).split()),
        roles=tuple(map(str, waive["roles"])),
        including=tuple(map(str, waive.get("including", ()))),
        quorum=max(int(waive.get("quorum", 1)), 1),
        max_days=min(int(waive["max_days"]), MAX_DAYS),
    )


def _listed(words: Collection[str]) -> str:
    return ", ".join(words)


def _read(kind: type[Document], said: Mapping[str, Json], payload: bytes) -> Document:
    """Read the fields of a document strictly: none missing, none more, each of its type."""
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}
    kinds = {field.name: get_origin(field.type) or field.type for field in fields(kind)}
    words = (word for value in plain.values() if isinstance(value, tuple) for word in value)
    typed = {name: type(value) for name, value in plain.items()} == kinds
    if not typed or not all(isinstance(word, str) for word in words):
        raise Tampered(f"What was signed is no {kind.__name__.lower()} of a waiver; sign it again.")
    found = kind(**plain)  # type: ignore[arg-type]
    if found.payload() != payload:
        raise Tampered("A document on a waiver is not in its canonical form; sign it again.")
    return found
