"""Attacks by people on approvals: who asks approves too, who owns approves, or signs otherwise.

Does not see: two people who agree to deceive, each with their own key; `limits` says so.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Final

from securesystemslib.signer import CryptoSigner

from app.redteam.asked import approve, ask, drafted, filed, not_set_aside, say
from app.redteam.attack import Attack, Unharmed, Victim
from app.redteam.scratch import ENGINEER, FORBIDDEN, LAWYERS, OFFICER, OWNER, Scratch
from governance.canon import sha256
from governance.errors import Refused
from governance.waiving.waivers import Act, Request

APART: Final = "who asks, who owns the data and who approves are three, by key and by person"
ROLE: Final = "whoever approves has a role that the rule names, and a key that counts"
SHOWN: Final = "what is signed is what was shown, after it was asked and before it was recorded"
LENA, LUIS = LAWYERS


def _approved_by(role: str, person: str, *, asker: tuple[str, str]) -> Callable[[Scratch], Victim]:
    """Return an attack in which one person asks, and one who may not approves."""

    def act(scratch: Scratch) -> Victim:
        asked = ask(scratch, signer=scratch.person(*asker))
        return partial(approve, scratch, asked, scratch.person(role, person))

    return act


def _by_stranger(scratch: Scratch) -> Victim:
    return partial(approve, scratch, ask(scratch), CryptoSigner.generate_ecdsa())


def _twice(scratch: Scratch) -> Victim:
    """Fill a quorum of two alone, with two keys."""
    asked = ask(scratch, FORBIDDEN)
    approve(scratch, asked, scratch.person("legal", LENA))
    return partial(approve, scratch, asked, scratch.person("dpo", LENA))


def _row_inserted(scratch: Scratch) -> Victim:
    """Write the requester's own approval into the table that holds approvals."""
    asked = ask(scratch)

    def victim() -> object:
        try:
            with closing(sqlite3.connect(scratch.workspace.state / "ledger.db")) as connection:
                connection.execute(
                    "INSERT INTO approvals SELECT id, requester, 'a key', requester, "
                    "requester_key, owner, owner_key FROM waivers WHERE id = ?",
                    (asked.id,),
                )
        except sqlite3.IntegrityError as fault:
            return Unharmed(f"the database refused: {fault}")
        return None

    return victim


def _row_of_another(scratch: Scratch) -> Victim:
    """Write an approval of nobody into that table, which its constraints allow."""
    asked = ask(scratch)
    with closing(sqlite3.connect(scratch.workspace.state / "ledger.db")) as connection:
        connection.execute(
            "INSERT INTO approvals SELECT id, 'a tag', 'a key', requester, requester_key, owner, "
            "owner_key FROM waivers WHERE id = ?",
            (asked.id,),
        )
        connection.commit()
    return not_set_aside(scratch)


def _short_of_quorum(scratch: Scratch) -> Victim:
    """Audit with one approval where two are due."""
    approve(scratch, ask(scratch, FORBIDDEN), scratch.person("dpo", OFFICER))
    return not_set_aside(scratch)


def _forged_act(change: Callable[[Act, Request], Act]) -> Callable[[Scratch], Victim]:
    """Return an attack by an approver who signs something else than an approval of this request."""

    def act(scratch: Scratch) -> Victim:
        asked, signer = ask(scratch), scratch.person("legal", LENA)
        return partial(
            filed, scratch, asked, change(drafted(scratch, asked, signer), asked), signer
        )

    return act


def _other_text(said: Act, _asked: Request) -> Act:
    return replace(said, shown=sha256(b"a harmless text"))


def _backdated(said: Act, asked: Request) -> Act:
    return replace(said, size=asked.size, root=asked.root)


def _in_anothers_name(said: Act, _asked: Request) -> Act:
    return replace(said, person=OFFICER, role="dpo")


def _replayed(scratch: Scratch) -> Victim:
    """File an approval of one request under another."""
    first, signer = ask(scratch), scratch.person("legal", LENA)
    said = drafted(scratch, first, signer)
    second = ask(scratch)
    return partial(filed, scratch, second, said, signer)


def _after_rejection(scratch: Scratch) -> Victim:
    asked = ask(scratch)
    say(scratch, asked, "reject", scratch.person("legal", LUIS))
    return partial(approve, scratch, asked, scratch.person("legal", LENA))


_own = partial(
    Attack, threat="own approval, collusion", holds=APART, error=Refused, ground="waivable"
)
_signed = partial(
    Attack, threat="approval backdated", holds=SHOWN, error=Refused, ground="waivable"
)

ATTACKS: Final = (
    _own(
        name="a requester approves", check="waiver (12)",
        act=_approved_by("legal", LENA, asker=("legal", LENA)),
    ),
    _own(
        name="a requester approves with another key", check="waiver (12)",
        act=_approved_by("legal", LENA, asker=("dpo", LENA)),
    ),
    _own(
        name="the owner of the data approves", check="waiver (12)",
        act=_approved_by("legal", OWNER, asker=("engineer", ENGINEER)),
    ),
    _own(
        name="somebody approves whose role the rule does not name", holds=ROLE,
        act=_approved_by("dpo", OFFICER, asker=("engineer", ENGINEER)), check="waiver (11)",
    ),
    _own(
        name="somebody approves whom nobody trusts", holds=ROLE, act=_by_stranger,
        check="is unknown to the trust file",
    ),
    _own(name="one person fills a quorum of two, with two keys", act=_twice, check="waiver (13)"),
    _own(
        name="a requester's approval is written into the database", act=_row_inserted, error=None
    ),
    _own(
        name="an approval of nobody is written into the database", act=_row_of_another, error=None
    ),
    _own(name="a quorum of two is short of one", holds=ROLE, act=_short_of_quorum, error=None),
    _signed(
        name="somebody signs for another text than was shown", act=_forged_act(_other_text),
        check="waiver (9)",
    ),
    _signed(
        name="an approval is dated before the request", act=_forged_act(_backdated),
        check="waiver (10)",
    ),
    _signed(
        name="somebody approves in another's name", act=_forged_act(_in_anothers_name),
        check="waiver (7)",
    ),
    _signed(
        name="an approval of another request is filed", act=_replayed, check="waiver (8)"
    ),
    _signed(
        name="what was rejected is approved", act=_after_rejection,
        check="only what was asked for",
    ),
)  # fmt: skip
