"""Attacks on bytes: pictures, lists, measures, findings, policies, after they were looked at.

Does not see: what a picture shows. Any other picture would do.
"""

import io
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from app.redteam.attack import Attack, Unharmed, Victim
from app.redteam.forged import edit, edit_shard, edit_table, flip
from app.redteam.scratch import PACKS, Scratch, terms
from governance.canon import digest, file_sha256, sha256
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.records import Decision
from governance.snapshot import IMAGE
from governance.workspace import write_json

READ: Final = "the very bytes that are decoded are hashed against what was sealed"
LISTED: Final = "what was not measured by every audit is not trained on"
WEIGHED: Final = (
    "a decision holds for the evidence and the policies it was made with, byte for byte"
)
SEALED_ONLY: Final = "a read gives what was sealed, or nothing"
READS = 40
SHARD = "shards/shard-00000.parquet"


def _flipped(scratch: Scratch) -> Victim:
    flip(_shard(scratch), at=2000)
    return scratch.train


def _swapped(scratch: Scratch) -> Victim:
    """Swap a picture, and write the digest of the new shard into the snapshot's record."""
    _swap_picture(scratch)
    return scratch.train


def _swapped_and_listed(scratch: Scratch) -> Victim:
    """Swap a picture in shard, record, manifest and cleared list alike."""
    old, new = _swap_picture(scratch)
    tables = (scratch.snapshot.folder / "manifest.parquet", scratch.cleared)
    for path in tables:
        edit_table(path, partial(_renamed, old=old, new=new))
    return scratch.train


def _written_under_the_reader(scratch: Scratch) -> Victim:
    """Write into a shard in place, after the reader has hashed the file and mapped it."""
    rows = _rows(scratch)
    opened = scratch.snapshot.open_shard(0)
    with _shard(scratch).open("r+b") as stream:
        stream.seek(_first_picture_at(scratch))
        stream.write(b"not these bytes")
    return lambda: list(opened.images(rows["row"].to_pylist(), rows["sha256"].to_pylist()))


def _renamed_under_the_reader(scratch: Scratch) -> Victim:
    """Put another file in the place of a shard, after the reader has opened it."""
    rows, shard = _rows(scratch), _shard(scratch)
    opened = scratch.snapshot.open_shard(0)
    other = shard.with_name("other.parquet")
    pq.write_table(pa.table({IMAGE: [_picture()] * rows.num_rows}), other)
    os.replace(other, shard)  # noqa: PTH105  as an attacker would

    def victim() -> object:
        images = opened.images(rows["row"].to_pylist(), rows["sha256"].to_pylist())
        read = [sha256(image) for image in images]
        return (
            Unharmed("the reader kept the file it had hashed") if read == _digests(rows) else None
        )

    return victim


def _raced(scratch: Scratch) -> Victim:
    """Flip a byte of a shard to and fro, as fast as it goes, while it is read again and again."""
    shard, rows, over = _shard(scratch), _rows(scratch), threading.Event()
    at = _first_picture_at(scratch)

    def race() -> None:
        with shard.open("r+b") as stream:
            while not over.is_set():
                stream.seek(at)
                byte = stream.read(1)[0]
                stream.seek(at)
                stream.write(bytes([byte ^ 1]))
                stream.flush()

    def victim() -> object:
        racer = threading.Thread(target=race, daemon=True)
        racer.start()
        try:
            read = [_read_once(scratch, rows) for _ in range(READS)]
        finally:
            over.set()
            racer.join()
        refused = read.count(None)
        wrong = READS - refused - sum(digests == _digests(rows) for digests in read)
        return (
            None if wrong else Unharmed(f"{READS} reads: {refused} refused, none gave other bytes")
        )

    return victim


def _unlisted_shard(scratch: Scratch) -> Victim:
    """Lay a shard of one's own beside those of the snapshot."""
    pq.write_table(
        pa.table({IMAGE: [_picture()]}), _shard(scratch).with_name("shard-00001.parquet")
    )

    def victim() -> object:
        from app.rights import impacts  # noqa: PLC0415  heavy

        scratch.train()
        (run,) = impacts(scratch.workspace, frozenset(_digests(pq.read_table(scratch.cleared))))
        return None if run.fault else Unharmed("the receipts hold the cleared samples, no other")

    return victim


def _listed_again(scratch: Scratch) -> Victim:
    """Put the excluded samples back into the decision's own list."""
    shutil.copyfile(scratch.snapshot.folder / "manifest.parquet", scratch.cleared)
    return scratch.train


def _row_left_out(scratch: Scratch) -> Victim:
    edit_table(_part(scratch), lambda table: table.slice(1))
    return scratch.train


def _row_left_out_and_told(scratch: Scratch) -> Victim:
    """Leave a row of measures out, and have an insider tell the ledger of the new file."""
    edit_table(_part(scratch), lambda table: table.slice(1))
    _tell_measured(scratch)
    return scratch.train


def _row_left_out_and_decided(scratch: Scratch) -> Victim:
    """Do so, and have the insider decide anew on the measures as they are: a hole in coverage."""
    edit_table(_part(scratch), lambda table: table.slice(1))
    _tell_measured(scratch)
    workspace, old = scratch.workspace, scratch.decision
    parts = workspace.recorded_parts(old.snapshot, old.audits)
    _decide(scratch, replace(old, measures=digest(dict(parts))))
    return scratch.train


def _untold_decision(scratch: Scratch) -> Victim:
    """Clear everything by a decision of one's own, which no ledger was told of."""
    from app.clearing import clear  # noqa: PLC0415  heavy

    forged = replace(scratch.decision, verdict="pass", rules=())
    return lambda: clear(scratch.workspace, forged, terms(), preset="micro")


def _edited_object(field: str) -> Callable[[Scratch], Victim]:
    """Return an attack on what a decision names by its digest: findings, or a policy's text."""

    def act(scratch: Scratch) -> Victim:
        name = (
            scratch.decision.findings
            if field == "findings"
            else scratch.decision.policies[1].sha256
        )
        flip(scratch.workspace.state / "objects" / "sha256" / name[:2] / name, at=40)
        return scratch.train

    return act


def _edited_decision(scratch: Scratch) -> Victim:
    path = scratch.workspace.decision_folder(scratch.decision.id) / "decision.json"
    edit(path, b'"cleared":43', b'"cleared":48')
    return scratch.train


def _edited_exclusions(scratch: Scratch) -> Victim:
    """Take the reasons away why samples were excluded, before somebody reviews them."""
    from app.view import excluded  # noqa: PLC0415  heavy

    path = scratch.workspace.decision_folder(scratch.decision.id) / "excluded.parquet"
    decision = scratch.decision
    edit_table(path, lambda table: table.slice(1))
    return lambda: excluded(scratch.workspace, decision)


def _edited_policy(scratch: Scratch) -> Victim:
    """Edit a policy's file after the decision was made under it."""
    from policies.rules import packaged  # noqa: PLC0415  heavy

    pack = scratch.folder / "own.yaml"
    pack.write_bytes(packaged(f"packs/{PACKS[0]}.yaml"))
    scratch.audit(packs=(str(pack),))
    edit(pack, b"remedy: exclude", b"remedy: record")
    return scratch.train


def _shard(scratch: Scratch) -> Path:
    return scratch.snapshot.folder / SHARD


def _rows(scratch: Scratch) -> pa.Table:
    """Return the rows of the manifest in the order of the shard."""
    return scratch.snapshot.manifest().sort_by("row")


def _digests(rows: pa.Table) -> list[str]:
    return list(rows["sha256"].to_pylist())


def _read_once(scratch: Scratch, rows: pa.Table) -> list[str] | None:
    """Return the digests of what one read gave; None where it refused."""
    try:
        images = scratch.snapshot.open_shard(0).images(rows["row"].to_pylist(), _digests(rows))
        return [sha256(image) for image in images]
    except Tampered:
        return None


def _first_picture_at(scratch: Scratch) -> int:
    """Return where in the shard's file the bytes of the first picture stand."""
    data = _shard(scratch).read_bytes()
    picture: bytes = pq.read_table(_shard(scratch), memory_map=False)[IMAGE][0].as_py()
    return data.index(picture)


def _picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(stream, "PNG")
    return stream.getvalue()


def _swap_picture(scratch: Scratch) -> tuple[str, str]:
    """Swap the first picture of the shard, write the record anew; return both digests."""
    new = _picture()
    old: str = sha256(pq.read_table(_shard(scratch), memory_map=False)[IMAGE][0].as_py())
    edit_shard(scratch.snapshot, lambda pictures: [new, *pictures[1:]])
    return old, sha256(new)


def _renamed(table: pa.Table, *, old: str, new: str) -> pa.Table:
    digests = [new if digest == old else digest for digest in table["sha256"].to_pylist()]
    place = table.schema.get_field_index("sha256")
    return table.set_column(place, "sha256", pa.array(digests)).sort_by("sha256")


def _part(scratch: Scratch) -> Path:
    decision = scratch.decision
    folder = scratch.workspace.measures(decision.snapshot, decision.audits)
    return next(folder.glob("part-*.parquet"))


def _tell_measured(scratch: Scratch) -> None:
    decision, part = scratch.decision, _part(scratch)
    named = {"snapshot": decision.snapshot, "audits": decision.audits, "part": part.name}
    scratch.workspace.ledger.append("measured", {**named, "sha256": file_sha256(part)})


def _decide(scratch: Scratch, decision: Decision) -> None:
    """Put a decision in place, with the tables of the one before it."""
    workspace, old = scratch.workspace, scratch.decision
    folder = workspace.decision_folder(decision.id)
    shutil.copytree(workspace.decision_folder(old.id), folder)
    write_json(folder / "decision.json", decision.to_json())
    workspace.ledger.append("decided", {"decision": decision.id, "snapshot": decision.snapshot})


_file = partial(Attack, threat="file swapped after the audit", holds=READ, error=Tampered)
_race = partial(Attack, threat="race between check and use", holds=SEALED_ONLY)
_row = partial(Attack, threat="unaudited file, omitted row", holds=LISTED)
_edited = partial(
    Attack, threat="findings, policy or clearance edited", holds=WEIGHED, error=Tampered
)

ATTACKS: Final = (
    _file(
        name="a byte of a shard is flipped", act=_flipped, check="is not the file that was sealed"
    ),
    _file(
        name="a picture is swapped, and the record written anew", act=_swapped,
        check="has other bytes than were sealed",
    ),
    _file(
        name="a picture is swapped, and every list written anew", act=_swapped_and_listed,
        check="was altered: its 48 rows",
    ),
    Attack(
        name="a shard is written to while it is read", threat="race between check and use",
        holds=SEALED_ONLY, act=_written_under_the_reader, error=Tampered,
        check="has other bytes than were sealed",
    ),
    _race(name="a shard is renamed away while it is read", act=_renamed_under_the_reader),
    _race(name="a byte flips to and fro while a shard is read", act=_raced),
    _row(name="a shard that nobody audited is laid beside the others", act=_unlisted_shard),
    _row(
        name="excluded samples are put back into the decision's list", act=_listed_again,
        error=Tampered, check="The cleared samples of decision",
    ),
    _row(
        name="a row of measures is left out", act=_row_left_out, error=Tampered,
        check="evidence (3)",
    ),
    _row(
        name="a row is left out, and the ledger is told of the new file",
        act=_row_left_out_and_told, error=Tampered, check="evidence (3)",
    ),
    _row(
        name="a row is left out, and it is decided on what is left",
        act=_row_left_out_and_decided, error=EvidenceMissing, check="have no row of measures",
    ),
    _edited(
        name="the findings are edited", act=_edited_object("findings"),
        check="The bytes of the findings were altered",
    ),
    _edited(
        name="the kept text of a policy is edited", act=_edited_object("policy"),
        check="The bytes of the policy commercial were altered",
    ),
    Attack(
        name="a policy's file is edited after the decision",
        threat="findings, policy or clearance edited", holds=WEIGHED, act=_edited_policy,
        error=Refused, check="was edited after the decision",
    ),
    _edited(name="the decision is edited", act=_edited_decision, check="was altered; run"),
    Attack(
        name="a decision is made that no ledger was told of",
        threat="findings, policy or clearance edited", holds=WEIGHED, act=_untold_decision,
        error=EvidenceMissing, check="evidence (1)",
    ),
    _edited(
        name="the reasons for exclusions are edited", act=_edited_exclusions,
        check="are not those the ledger recorded",
    ),
)  # fmt: skip
