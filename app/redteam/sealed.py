"""Attacks on encrypted pictures, and on samples that were taken back.

Does not see: what a trainer kept that once held a key; `limits` says so.
"""

import io
import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from PIL import Image, UnidentifiedImageError
from securesystemslib.signer import CryptoSigner

from app.redteam.attack import Attack, Unharmed, Victim
from app.redteam.forged import edit_shard, flip
from app.redteam.ground import CutOff
from app.redteam.scratch import Scratch
from governance.clearance import Clearance, read_clearance
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.rights import requests as rights
from governance.rights.disclosure import make_presence_file
from governance.rights.presence import Presence
from governance.rights.presence_file import PresenceFile, check_presence
from governance.sealing.release import (
    PACKAGE_FILE,
    check_keys,
    erase,
    open_package,
    reader_key,
    release,
    unlocked,
    vouch,
)
from governance.snapshot import MANIFEST, read_table
from governance.statements import payload_of

UNREAD: Final = "without a key that a clearance released, nobody reads a picture"
BOUND: Final = "a ciphertext opens in its own place, under its own key, or not at all"
RELEASED: Final = "keys go to one trusted reader, of the samples that its clearance cleared"
GONE: Final = "a picture whose key was erased is not read again"
TAKEN_BACK: Final = "what was withdrawn is not trained on"
ABSENT: Final = "nobody can prove that a picture is absent which is there"
RUN = "run-2"


def _stock_tools(scratch: Scratch) -> Victim:
    """Read the shard as any script would that trains on Parquet."""

    def victim() -> object:
        data = _shard(scratch).read_bytes()
        cells = pq.read_table(_shard(scratch)).column(0).to_pylist()
        shown = sum(map(_is_picture, cells)) + data.count(b"\x89PNG") + data.count(b"JFIF")
        return None if shown else Unharmed(f"{len(cells)} cells, and no picture in any of them")

    return victim


def _swapped(scratch: Scratch) -> Victim:
    """Swap two ciphertexts, and write the record anew."""
    edit_shard(scratch.snapshot, lambda cells: [cells[1], cells[0], *cells[2:]])
    return scratch.train


def _cut(scratch: Scratch) -> Victim:
    edit_shard(scratch.snapshot, lambda cells: [cell[:-1] for cell in cells])
    return scratch.train


def _keys_gone(scratch: Scratch) -> Victim:
    _table(scratch).unlink()
    return scratch.train


def _keys_opened(scratch: Scratch) -> Victim:
    _table(scratch).chmod(0o644)
    return scratch.train


def _more_than_cleared(scratch: Scratch) -> Victim:
    """Read the excluded pictures, too, with the keys that the run was given."""
    clearance = _under_way(scratch)
    package = (scratch.workspace.runs / RUN / PACKAGE_FILE).read_bytes()
    keys = open_package(package, reader_key(scratch.keyring.folder), clearance)
    rows = scratch.snapshot.manifest().sort_by("row")
    places, digests = rows["row"].to_pylist(), rows["sha256"].to_pylist()
    return lambda: list(scratch.snapshot.open_shard(0).images(places, digests, keys))


def _release_more(scratch: Scratch) -> Victim:
    """Ask the keeper for the keys of the whole snapshot."""
    return _asked(scratch, _under_way(scratch), rows=scratch.snapshot.manifest())


def _release_unspent(scratch: Scratch) -> Victim:
    """Ask the keeper for keys under a clearance that no run uses."""
    return _asked(scratch, read_clearance(payload_of(scratch.ask())))


def _release_to_stranger(scratch: Scratch) -> Victim:
    clearance = _under_way(scratch)
    stranger = vouch(X25519PrivateKey.generate().public_key(), CryptoSigner.generate_ecdsa())
    return _asked(scratch, clearance, reader=stranger)


def _release_to_another(scratch: Scratch) -> Victim:
    """Ask for the keys a second time, for a reader of one's own."""
    clearance, trainer = _under_way(scratch), scratch.keyring.signer("trainer")
    other = vouch(X25519PrivateKey.generate().public_key(), trainer)
    return _asked(scratch, clearance, reader=other)


def _borrowed_package(scratch: Scratch) -> Victim:
    """Open the package of one clearance under another."""
    _under_way(scratch)
    package = (scratch.workspace.runs / RUN / PACKAGE_FILE).read_bytes()
    other = read_clearance(payload_of(scratch.ask()))
    return lambda: open_package(package, reader_key(scratch.keyring.folder), other)


def _altered_package(scratch: Scratch) -> Victim:
    clearance = _under_way(scratch)
    path = scratch.workspace.runs / RUN / PACKAGE_FILE
    flip(path, at=-1)
    return lambda: open_package(path.read_bytes(), reader_key(scratch.keyring.folder), clearance)


def _erased(scratch: Scratch) -> Victim:
    """Read a picture whose key was erased."""
    rows = scratch.snapshot.manifest().slice(0, 1)
    digests = rows["sha256"].to_pylist()
    erase(scratch.workspace, scratch.snapshot.root, digests)
    opened = unlocked(scratch.workspace, scratch.snapshot)
    return lambda: list(opened.open_shard(0).images(rows["row"].to_pylist(), digests, opened.keys))


def _put_back(scratch: Scratch) -> Victim:
    """Put the table of keys back that was there before an erasure."""
    _erase_and_put_back(scratch)
    return lambda: check_keys(scratch.workspace, scratch.snapshot.root)


def _put_back_and_released(scratch: Scratch) -> Victim:
    """Do so, and train on a clearance from before the erasure."""
    envelope = scratch.ask()
    _erase_and_put_back(scratch)
    return partial(scratch.train, envelope)


def _withdrawn(scratch: Scratch) -> Victim:
    """Train on a clearance from before one of its samples was withdrawn."""
    envelope = scratch.ask()
    _withdraw(scratch)
    return partial(scratch.train, envelope)


def _withdrawn_meanwhile(scratch: Scratch) -> Victim:
    def withdrawn(step: int) -> None:
        if step == 1:
            _withdraw(scratch)

    return partial(scratch.train, at_step=withdrawn)


def _audited_again(scratch: Scratch) -> Victim:
    """Audit the source again, in which the withdrawn picture still lies."""
    image = _withdraw(scratch)

    def victim() -> object:
        snapshot = scratch.audit().snapshot
        back = image in snapshot.manifest()["sha256"].to_pylist()
        return None if back else Unharmed("the new snapshot leaves it out")

    return victim


def _denied(scratch: Scratch) -> Victim:
    """Take the leaf of a picture out of the proof that should show it."""
    made = _proof(scratch)
    tables = {name: _without(found, made.sha256) for name, found in made.tables.items()}
    return partial(_check, replace(made, tables=tables), scratch)


def _denied_by_another(scratch: Scratch) -> Victim:
    """Show the proof of another picture's absence."""
    made, other = _proof(scratch), scratch.folder / "other.png"
    Image.new("RGB", (8, 8)).save(other)
    absent = PresenceFile.from_bytes(make_presence_file(scratch.workspace, other))
    return partial(_check, replace(made, tables=absent.tables), scratch)


def _shard(scratch: Scratch) -> Path:
    return scratch.snapshot.shard_path(0)


def _table(scratch: Scratch) -> Path:
    return scratch.workspace.data_keys / f"{scratch.snapshot.root}.keys"


def _is_picture(cell: bytes) -> bool:
    try:
        Image.open(io.BytesIO(cell))
    except UnidentifiedImageError:
        return False
    return True


def _under_way(scratch: Scratch) -> Clearance:
    """Return the clearance of a run that began, was given its keys, and was cut off."""
    envelope = scratch.ask()

    def cut_off(_step: int) -> None:
        raise CutOff

    with suppress(CutOff):
        scratch.train(envelope, run=RUN, at_step=cut_off)
    return read_clearance(payload_of(envelope))


def _asked(
    scratch: Scratch,
    clearance: Clearance,
    *,
    reader: bytes | None = None,
    rows: pa.Table | None = None,
) -> Victim:
    trainer = scratch.keyring.signer("trainer")
    public = reader_key(scratch.keyring.folder).public_key()
    cleared = rows or read_table(scratch.cleared, MANIFEST)
    return partial(
        release,
        scratch.workspace,
        clearance,
        cleared=cleared,
        reader=reader or vouch(public, trainer),
    )


def _erase_and_put_back(scratch: Scratch) -> None:
    kept, table = scratch.folder / "yesterday.keys", _table(scratch)
    shutil.copy2(table, kept)
    cleared = read_table(scratch.cleared, MANIFEST)["sha256"].to_pylist()
    erase(scratch.workspace, scratch.snapshot.root, cleared[:1])
    shutil.copy2(kept, table)


def _withdraw(scratch: Scratch) -> str:
    """Withdraw the first cleared picture, and return its digest."""
    image: str = read_table(scratch.cleared, MANIFEST)["sha256"][0].as_py()
    asked = rights.Request(images=(image,), reason="a scratch request")
    rights.withdraw(scratch.workspace, asked, now=datetime.now(UTC))
    return image


def _proof(scratch: Scratch) -> PresenceFile:
    image = next(iter(sorted(scratch.scenes.glob("scene-*.png"))))
    return PresenceFile.from_bytes(make_presence_file(scratch.workspace, image))


def _without(found: Presence, image: str) -> Presence:
    places = tuple(place for place in found.places if place.image.hex() != image)
    return replace(found, places=places)


def _check(made: PresenceFile, scratch: Scratch) -> None:
    for told in check_presence(made, scratch.pinned):
        if told.status:
            raise Tampered(f"{told.what}: {told.detail}")


_crypt = partial(Attack, threat="sealed shards read", holds=BOUND, error=Tampered, ground="sealed")
_given = partial(
    Attack, threat="sealed shards read", holds=RELEASED, error=Refused, ground="sealed"
)
_erasure = partial(Attack, threat="erased or withdrawn sample", holds=GONE, ground="sealed")
_back = partial(Attack, threat="erased or withdrawn sample", holds=TAKEN_BACK, error=Refused)
_absence = partial(Attack, threat="proof of another act", holds=ABSENT, error=Tampered)

ATTACKS: Final = (
    Attack(
        name="stock tools read an encrypted shard", threat="training on raw data", holds=UNREAD,
        act=_stock_tools, ground="sealed",
    ),
    _crypt(
        name="two ciphertexts are swapped", act=_swapped, check="The ciphertext of sample"
    ),
    _crypt(name="ciphertexts are cut", act=_cut, check="The ciphertext of sample"),
    _crypt(
        name="the table of keys is taken away", act=_keys_gone, error=EvidenceMissing,
        check="The keys of snapshot",
    ),
    _crypt(
        name="the table of keys is opened to others", act=_keys_opened, error=Refused,
        check="can be read by others",
    ),
    _given(
        name="a run reads more than it was cleared for", act=_more_than_cleared,
        error=EvidenceMissing, check="not among those that the clearance released",
    ),
    _given(name="keys of the whole snapshot are asked for", act=_release_more, check="release (3)"),
    _given(
        name="keys are asked for without a run", act=_release_unspent, check="release (2)"
    ),
    _given(
        name="keys are asked for by a stranger", act=_release_to_stranger, check="release (1)"
    ),
    _given(
        name="keys are asked for twice, for two readers", act=_release_to_another,
        check="release (4)",
    ),
    _given(
        name="the keys of one clearance are used under another", act=_borrowed_package,
        check="package (1)",
    ),
    _given(
        name="a package of keys is altered", act=_altered_package, error=Tampered,
        check="package (3)",
    ),
    _erasure(
        name="a picture is read whose key was erased", act=_erased, error=EvidenceMissing,
        check="its key was erased",
    ),
    _erasure(
        name="an old table of keys is put back", act=_put_back, error=Tampered,
        check="keys that were erased are back",
    ),
    _erasure(
        name="an old table is put back, and keys are asked for", act=_put_back_and_released,
        error=EvidenceMissing, check="release (5)",
    ),
    _back(
        name="a run is started on a sample that was withdrawn", act=_withdrawn,
        check="were withdrawn",
    ),
    _back(
        name="a run goes on after a sample of it was withdrawn", act=_withdrawn_meanwhile,
        check="clearance (7)",
    ),
    _back(name="its source is audited again", act=_audited_again, error=None),
    _absence(
        name="a picture is left out of the proof of its presence", act=_denied,
        check="presence (",
    ),
    _absence(
        name="the absence of another picture is shown", act=_denied_by_another,
        check="presence (",
    ),
)  # fmt: skip
