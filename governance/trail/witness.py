"""A witness: a key and a memory. It signs that a ledger, as far as it was shown it, only ever grew.

Whoever holds a log's key can write the log anew and sign it. They cannot make it extend what a
witness remembers. The memory is a folder of the witness's own, on a machine that the ledger's
operator does not run; the first checkpoint it sees is believed and pins the log's keys.

Source: c2sp.org/tlog-witness (the checks of add-checkpoint), c2sp.org/tlog-cosignature. Does not
see: what the entries say. It never reads one.
"""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from securesystemslib.signer import Key, Signer, SSlibKey

from governance.canon import canonical, sha256, write_whole
from governance.errors import EvidenceMissing, Refused, Tampered, UsageError
from governance.records import json_object
from governance.signers.trust import Trust
from governance.trail import merkle
from governance.trail.note import (
    Checkpoint,
    SignedNote,
    VerifierKey,
    cosignature,
    cosigners,
    log_vkey,
    open_note,
    unverified,
)

if TYPE_CHECKING:
    from governance.trail.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a witness keeps of one log: keys it pinned, the note and POSIX time it signed last."""

    keys: tuple[SSlibKey, ...]
    note: str
    at: int

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint it cosigned last."""
        return open_note(self.note, self.keys)

    @classmethod
    def read(cls, state: Path, origin: str) -> Self | None:
        """Return what a state folder holds of a log; None when it never saw the log.

        Raises:
            Tampered: what it holds is not what a witness writes.
        """
        path = _place(state, origin)
        if not path.is_file():
            return None
        record = json_object(path.read_bytes(), "what the witness remembers")
        try:
            keys = tuple(VerifierKey.parse(vkey).key for vkey in record["keys"])
            return cls(keys=keys, note=str(record["note"]), at=int(record["at"]))
        except (KeyError, TypeError, ValueError, UsageError):
            raise Tampered(
                f"The witness's memory {path.name} is damaged; restore it from a copy."
            ) from None

    def write(self, state: Path) -> None:
        """Keep this, whole or not at all."""
        origin = self.checkpoint.origin
        vkeys = [log_vkey(origin, key) for key in self.keys]
        record = canonical({"keys": vkeys, "note": self.note, "at": self.at})
        write_whole(_place(state, origin), record, mode=0o600)


def witness_name(key: Key) -> str:
    """Return the name a witness signs under when it has no other: which key, and not who."""
    return f"witness/{key.keyid[:16]}"


def cosign(
    state: Path,
    note: str,
    consistency: Sequence[bytes],
    *,
    signer: Signer,
    now: datetime,
    log: Sequence[SSlibKey] = (),
    name: str = "",
) -> str:
    """Return the cosignature line for a checkpoint, if the log only grew since the last one.

    Args:
        state: the witness's own folder.
        note: the log's signed checkpoint.
        consistency: the proof from the checkpoint it cosigned last; empty at first sight.
        signer: of the witness, Ed25519.
        now: the witness's clock.
        log: keys of the log that the witness's operator vouches for: needed at first sight, and
            once more when the log's key was rotated. They replace the ones that are pinned.
        name: of the witness's key; made from its id when not given.

    Raises:
        Refused: the keys of this log are not known yet, or the clock runs backwards.
        Tampered: the checkpoint is not the log's, or does not extend the one cosigned last. Nothing
            is signed then, and the memory stays as it was.
    """
    origin = unverified(note).origin
    at = int(now.timestamp())
    with _alone(state):
        last = Remembered.read(state, origin)
        keys = tuple(log) or (last.keys if last else ())
        if not keys:
            raise Refused(f"witness (1): nothing is known of {origin} yet; vouch for its key.")
        # (1) A log key that is vouched for, or else pinned, signed this checkpoint.
        checkpoint = open_note(note, keys)
        if last is not None:
            # (2) It is not smaller, and (3) extends the one cosigned last, entry by entry.
            check_grown(last.checkpoint, checkpoint, consistency)
            # (4) Time goes on: it is the only time an outsider has.
            if at < last.at:
                raise Refused(
                    f"witness (4): the clock says {at}, the last cosignature {last.at}; set it."
                )
        # The memory comes first: a signature nobody remembers could be followed by another.
        Remembered(keys=keys, note=note, at=at).write(state)
        return cosignature(note, signer, name=name or witness_name(signer.public_key), at=at)


def proof_since(
    state: Path, checkpoint: Checkpoint, consistency: Callable[[int, int], list[bytes]]
) -> list[bytes]:
    """Return the proof from the checkpoint a witness cosigned last to this one.

    It is empty at first sight, and when this one is smaller: then there is none.
    """
    last = Remembered.read(state, checkpoint.origin)
    before = last.checkpoint.size if last else 0
    return consistency(before, checkpoint.size) if 0 < before <= checkpoint.size else []


def check_grown(
    before: Checkpoint, now: Checkpoint, consistency: Sequence[bytes], *, who: str = "witness"
) -> None:
    """Check that one checkpoint of a log extends another, which `who` remembers.

    Raises:
        Tampered: it does not, and the two together prove that the log was rewritten or cut off.
    """
    if now.size < before.size:
        raise Tampered(
            f"{who} (2): the log has {now.size} entries; it had {before.size} before. It was cut "
            "off, or an older copy was put in its place."
        )
    try:
        merkle.check_consistency(
            old_size=before.size,
            size=now.size,
            proof=consistency,
            old_root=before.root,
            expected_root=now.root,
        )
    except Tampered as fault:
        raise Tampered(
            f"{who} (3): {fault} It was rewritten; keep both checkpoints, they prove it."
        ) from None


def check_checkpoint(note: str | bytes, trust: Trust) -> Checkpoint:
    """Return the checkpoint in a note, signed by a log key that counted when it was made.

    Raises:
        Tampered: it is no note, of another log, or not signed by such a key.
        EvidenceMissing: the trust file names no such key.
    """
    return open_note(note, trust.of("log", at=_last_act(note)), origin=trust.origin)


def check_cosigned(
    note: str | bytes, trust: Trust, *, at_least: int | None = None
) -> list[tuple[str, int]]:
    """Return which witnesses saw a checkpoint, each person once, with the POSIX time of each.

    Args:
        note: the checkpoint with its signature lines.
        trust: whose signatures count.
        at_least: how many different persons must have cosigned; None asks as the trust file does.

    Raises:
        EvidenceMissing: fewer did.
        Tampered: it is no note, or a line of a trusted key is a bad one.
    """
    number, needed = _last_act(note), trust.witnesses if at_least is None else at_least
    known = [key.public for key in trust.keys if key.role == "witness" and key.counts(number)]
    times: dict[str, int] = {}
    for key, at in cosigners(note, known):
        person = trust.holder(key.keyid, at=number).person
        times[person] = min(at, times.get(person, at))
    if len(times) < needed:
        raise EvidenceMissing(
            f"The checkpoint of size {number + 1} carries cosignatures of {len(times)} witness(es) "
            f"that are trusted; {needed} are needed. Ask them: `pramana ledger witness`."
        )
    return sorted(times.items(), key=lambda seen: seen[1])


def accept(ledger: "Ledger", trust: Trust, note: str | bytes) -> list[tuple[str, int]]:
    """Keep the cosignatures that trusted witnesses put under a checkpoint of this ledger.

    Returns:
        Person and POSIX time of each, those included that were kept before.

    Raises:
        EvidenceMissing: the ledger has no such checkpoint, or no trusted witness cosigned it.
        Tampered: it is another checkpoint than the ledger's of that size.
    """
    checkpoint, given = check_checkpoint(note, trust), SignedNote.parse(note)
    ours = ledger.note(checkpoint.size)
    if SignedNote.parse(ours).body != given.body:
        raise Tampered(
            f"The cosigned checkpoint of size {checkpoint.size} is not this ledger's. There are "
            "two ledgers of one name; find out which one was rewritten."
        )
    found = check_cosigned(note, trust, at_least=1)
    known = [key.public for key in trust.keys if key.role == "witness"]
    kept = {key.keyid for key, _ in cosigners(ours, known)}
    for line in given.lines:
        for key, _ in cosigners(SignedNote(body=given.body, lines=(line,)).text(), known):
            if key.keyid not in kept:
                ledger.add_cosignature(checkpoint.size, key.keyid, line.text())
                kept.add(key.keyid)
    return found


def _last_act(note: str | bytes) -> int:
    """Return the number of the last act a note speaks of; 0 for an empty log, as for its first."""
    return max(unverified(note).size - 1, 0)


def _place(state: Path, origin: str) -> Path:
    return state / f"{sha256(origin.encode())[:32]}.json"


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Hold the state folder: between the look at the memory and its change nobody else signs."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
