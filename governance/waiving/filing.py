"""Filing what people sign on waivers: one transaction for the entry and its row, or neither.

Before anything is filed the whole waiver is examined as it would then stand, so that what fails a
check is refused, not recorded. Constraints of the tables settle what two processes do at once.

Does not see: who typed the command. A signature says whose key it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Final

import sqlalchemy as sa
from sqlalchemy import exc

from governance.canon import Json, sha256
from governance.errors import Refused
from governance.signers.trust import Trust
from governance.statements import payload_of, signed_by
from governance.trail import tables
from governance.trail.ledger import Entry, Ledger
from governance.waiving.approvals import ENDS, ENTRY_OF, State, Waiver, earlier_trees, examine
from governance.waiving.papers import REQUESTED, SHORT, Papers, act_body, requested_body
from governance.waiving.waivers import Act, Request

FROM: Final[Mapping[str, tuple[State, str]]] = {  # the state in which a verb is a legal move
    "approve": ("requested", "only what was asked for, and has not ended, can be approved"),
    "reject": ("requested", "only what is not decided yet can be rejected; revoke it"),
    "revoke": ("active", "only what is active can be revoked"),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """Where waivers are filed: the ledger, whose keys count, and how a person is tagged in it."""

    ledger: Ledger
    trust: Trust
    tag: Callable[[str], str]

    def examine(self, papers: Papers) -> Waiver:
        """Return a waiver once every document on it holds. Raises Refused, Tampered."""
        return examine(papers, trust=self.trust, extends=earlier_trees(self.ledger))

    def request(self, envelope: bytes, *, policy: bytes, earlier: tuple[Entry, ...]) -> Entry:
        """File a request.

        Args:
            envelope: as its requester signed it.
            policy: the bytes of the policy it names.
            earlier: requests of the same rule, and approvals of those.

        Raises:
            Refused: a check failed, or it was filed before.
        """
        asked, key = Request.read(payload_of(envelope)), signed_by(envelope)
        owner_key = next((k.id for k in self.trust.keys if k.person == asked.owner), "")
        body = requested_body(asked, envelope, key=key, owner_key=owner_key)
        parties = {"requester_key": key, "owner_key": owner_key, **self._tags(asked)}
        body |= {"person": parties["requester"], "owner": parties["owner"]}
        entry = self._coming(REQUESTED, body)
        documents = {sha256(envelope): envelope}
        self.examine(
            Papers(requested=entry, acts=(), earlier=earlier, documents=documents, policy=policy)
        )
        row = tables.waivers.insert().values(id=asked.id, quorum=asked.quorum, **parties)
        return self._filed(REQUESTED, body, row)

    def act(self, envelope: bytes, papers: Papers) -> Entry:
        """File an approval, a rejection or a revocation.

        Args:
            envelope: as its author signed it.
            papers: all there is on the waiver so far.

        Raises:
            Refused: it is no legal move, a check failed, or another process came first.
        """
        said, key = Act.read(payload_of(envelope)), signed_by(envelope)
        self._check_move(papers, said)
        person = self.tag(said.person)
        kind, body = ENTRY_OF[said.verb], {**act_body(said, envelope, key=key), "person": person}
        entry = self._coming(kind, body)
        documents = {**papers.documents, sha256(envelope): envelope}
        self.examine(replace(papers, acts=(*papers.acts, entry), documents=documents))
        row = _ended(papers, kind) if kind in ENDS else _approved(papers, person, key)
        return self._filed(kind, body, row)

    def _check_move(self, papers: Papers, said: Act) -> None:
        state, (wanted, why) = self.examine(papers).state(self.ledger.now()), FROM[said.verb]
        if state != wanted:
            raise Refused(f"Waiver {papers.id[:SHORT]} is {state}: {why}.")

    def _coming(self, kind: str, body: Mapping[str, Json]) -> Entry:
        """Return the entry as it would be filed now."""
        at = self.ledger.now().astimezone(UTC).isoformat(timespec="milliseconds")
        return Entry(number=self.ledger.size(), at=at, kind=kind, body=body)

    def _filed(self, kind: str, body: Mapping[str, Json], row: sa.Insert) -> Entry:
        try:
            return self.ledger.append(kind, body, rows=[row])
        except exc.IntegrityError:
            raise Refused(
                f"The ledger refused this {kind}: the same person or key has acted on the waiver, "
                "asks for it or owns the data, or it was decided meanwhile. `pramana waiver list`."
            ) from None

    def _tags(self, asked: Request) -> dict[str, str]:
        return {"requester": self.tag(asked.requester), "owner": self.tag(asked.owner)}


def _approved(papers: Papers, person: str, key: str) -> sa.Insert:
    told = papers.requested.body
    return tables.approvals.insert().values(
        waiver=papers.id,
        person=person,
        keyid=key,
        requester=told["person"],
        requester_key=told["key"],
        owner=told["owner"],
        owner_key=told["owner_key"],
    )


def _ended(papers: Papers, kind: str) -> sa.Insert:
    return tables.waiver_ends.insert().values(waiver=papers.id, how=ENDS[kind])
