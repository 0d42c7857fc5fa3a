"""Where a run asks for its keys: the keeper releases a package, and the trainer opens it.

Does not see: other machines. Where the keeper is another account, it calls `release` there and
sends the package; the trainer needs nothing else of it.
"""

from pathlib import Path

from governance.clearance import Clearance
from governance.records import Decision
from governance.sealing.release import (
    PACKAGE_FILE,
    keys_of,
    open_package,
    reader_key,
    release,
    vouch,
)
from governance.sealing.sealed import DataKeys
from governance.workspace import Workspace


def check_readable(workspace: Workspace, decision: Decision) -> None:
    """Refuse to begin, or to go on, where the keys of what was cleared are not all there.

    Raises:
        EvidenceMissing, Refused, Tampered: what `keys_of` raises.
    """
    if workspace.snapshot(decision.snapshot).encrypted:
        keys_of(workspace, decision.snapshot, workspace.cleared(decision))


def unlock(workspace: Workspace, folder: Path, clearance: Clearance) -> DataKeys | None:
    """Return the keys of what an admitted clearance lets a run read; None where none are needed.

    Args:
        workspace: where keys, clearance and run lie.
        folder: of the run, which used the clearance.
        clearance: as the trainer admitted it.

    Raises:
        Refused, EvidenceMissing, Tampered: what `release` and `open_package` raise.
    """
    if not workspace.snapshot(clearance.snapshot).encrypted:
        return None
    reader, package = reader_key(workspace.keyring.folder), folder / PACKAGE_FILE
    if not package.is_file():
        vouched = vouch(reader.public_key(), workspace.keyring.signer("trainer"))
        cleared = workspace.cleared(workspace.decision(clearance.decision))
        release(workspace, clearance, cleared=cleared, reader=vouched)
    return open_package(package.read_bytes(), reader, clearance)
