"""What was last seen of a workspace, kept outside it: its trust file and its ledger's checkpoint.

Whoever holds every key can write a ledger anew, and it verifies. It does not extend what somebody
else remembers. The first look is trusted; each later one must go on from it.

Does not see: two people who look at two different ledgers. For that there are witnesses.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from governance.canon import sha256, write_whole
from governance.errors import Refused, Tampered
from governance.signers.trust import TRUST_FILE, Trust
from governance.trail.ledger import Ledger
from governance.trail.witness import check_checkpoint, check_grown

CHECKPOINT = "checkpoint.note"


@dataclass(frozen=True, slots=True)
class Memory:
    """A folder outside the workspace that keeps what was last seen of it."""

    folder: Path

    @classmethod
    def of(cls, workspace: Path) -> Self:
        """Return what this user remembers of the workspace at a folder.

        It lies under PRAMANA_STATE, else XDG_STATE_HOME, else ~/.local/state.
        """
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        state = Path(os.environ.get("PRAMANA_STATE") or Path(base) / "pramana")
        return cls(state / sha256(str(workspace.resolve()).encode())[:32])

    def check(self, ledger: Ledger, trust: Trust) -> None:
        """Hold a ledger and a trust file to what was seen before.

        Raises:
            Tampered: the ledger does not extend the one seen before, or the trust file does not
                follow from it.
        """
        try:
            self._check_trust(trust)
            self._check_ledger(ledger, trust)
        except (Tampered, Refused) as fault:
            raise Tampered(
                f"{fault} If this workspace was begun anew on purpose, remove "
                f"{self.folder.name} from the state folder."
            ) from None

    def remember(self, ledger: Ledger, trust: Trust) -> None:
        """Check, and keep what was seen for the next time. Raises Tampered."""
        self.check(ledger, trust)
        write_whole(self.folder / TRUST_FILE, trust.data, mode=0o600)
        note = ledger.note()
        if note:
            write_whole(self.folder / CHECKPOINT, note.encode(), mode=0o600)

    def _check_trust(self, trust: Trust) -> None:
        path = self.folder / TRUST_FILE
        if not path.is_file():
            return
        try:
            Trust.from_bytes(trust.data, pinned=Trust.from_bytes(path.read_bytes()))
        except (Tampered, Refused) as fault:
            raise Tampered(f"memory (1): {fault}") from None

    def _check_ledger(self, ledger: Ledger, trust: Trust) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        seen, note = check_checkpoint(path.read_bytes(), trust), ledger.note()
        if not note:
            raise Tampered(
                f"memory (2): the log is empty; it had {seen.size} entries when last seen."
            )
        head = check_checkpoint(note, trust)
        grown = seen.size <= head.size
        proof = ledger.consistency(seen.size, head.size) if grown else []
        check_grown(seen, head, proof, who="memory")

    def forget(self) -> None:
        """Begin anew, as whoever removes a workspace on purpose does."""
        for name in (CHECKPOINT, TRUST_FILE):
            (self.folder / name).unlink(missing_ok=True)
