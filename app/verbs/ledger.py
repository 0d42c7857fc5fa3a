"""`pramana ledger`: what outsiders ask of the trail, answered in formats that are not ours.

Does not see: whether what an act says is true. It shows that the act was told, when others had
seen it, and that nothing was taken back.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from governance.canon import Json
    from governance.workspace import Workspace

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group()
def ledger() -> None:
    """Verify the trail, prove an act, have it witnessed, mirror it."""


@ledger.command()
@AS_JSON
@click.pass_obj
def verify(workspace: Path, *, as_json: bool) -> None:
    """Recompute the tree, and hold it to what was seen before.

    \b
    Example:
        pramana ledger verify
    """  # noqa: D301
    from governance.trail.witness import check_cosigned  # noqa: PLC0415  heavy

    place = _place(workspace)
    trust, found = place.keyring.trust(), place.ledger.verify()
    place.memory.remember(place.ledger, trust)
    note = place.ledger.note()
    seen = check_cosigned(note, trust, at_least=0) if note else []
    keys = _vkeys(place, found.size)
    said: dict[str, Json] = {
        "origin": found.origin,
        "size": found.size,
        "root": found.root.hex(),
        "keys": list(keys),
        "witnesses": [{"witness": person, "at": at} for person, at in seen],
    }
    lines = (
        f"{found.size} entries under a signed checkpoint; they extend what was seen here before",
        f"origin {found.origin}",
        f"root {found.root.hex()}",
        *(f"key {vkey}" for vkey in keys),
        f"{len(seen)} witnesses saw this checkpoint, {trust.witnesses} must before training",
        *_seen(seen),
    )
    _say(said, lines, as_json=as_json)


@ledger.command()
@click.argument("act", metavar="NUMBER|latest")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new .tlog-proof.")
@AS_JSON
@click.pass_obj
def prove(workspace: Path, act: str, out: Path, *, as_json: bool) -> None:
    """Prove by one text file that an act stands in the trail.

    The file is a c2sp.org/tlog-proof@v1, and the act is written beside it: who has both and the
    log's key needs nothing else.

    \b
    Example:
        pramana ledger prove latest --out decision.tlog-proof
    """  # noqa: D301
    from governance.canon import write_whole  # noqa: PLC0415  heavy
    from governance.errors import UsageError  # noqa: PLC0415  heavy
    from governance.trail.proofs import (  # noqa: PLC0415  heavy
        SUFFIX,
        check_proof,
        covering,
        write_proof,
    )

    place = _place(workspace)
    trust, trail = place.keyring.trust(), place.ledger
    number = _number(act, trail.size())
    proof_file = out if out.suffix == SUFFIX else out.with_name(f"{out.name}{SUFFIX}")
    leaf_file = proof_file.with_suffix(".leaf")
    for path in (proof_file, leaf_file):
        if path.exists():
            raise UsageError(f"{path} exists; name another file.")
    leaf = trail.leaf(number)
    text = write_proof(trail, number, size=covering(trail, number, trust.witnesses))
    proved = check_proof(text, leaf, trust)
    write_whole(leaf_file, leaf)
    write_whole(proof_file, text.encode())
    keys = _vkeys(place, proved.size)
    said: dict[str, Json] = {
        "act": number,
        "kind": trail.entry(number).kind,
        "size": proved.size,
        "proof": str(proof_file),
        "leaf": str(leaf_file),
        "keys": list(keys),
    }
    lines = (
        f"act {number} ({said['kind']}) under the checkpoint of size {proved.size}",
        f"proof {proof_file}\nact {leaf_file}",
        *_seen(proved.witnesses),
        "check it with any reader of c2sp.org/tlog-proof@v1 and these keys, or with ours:",
        *(f"  {vkey}" for vkey in keys),
        f"  pramana ledger check {proof_file} --trust trust.json",
    )
    _say(said, lines, as_json=as_json)


@ledger.command()
@click.argument("proof", type=FILE)
@click.option("--leaf", type=FILE, help="The act; the file beside the proof when not given.")
@click.option("--trust", "trust_file", required=True, type=FILE, help="A trust.json you pinned.")
@AS_JSON
def check(proof: Path, leaf: Path | None, trust_file: Path, *, as_json: bool) -> None:
    """Check PROOF as an outsider does, without the workspace.

    It takes the act, and the keys you pinned.

    \b
    Example:
        pramana ledger check decision.tlog-proof --trust trust.json
    """  # noqa: D301
    from governance.signers.trust import Trust  # noqa: PLC0415  heavy
    from governance.trail.ledger import Entry  # noqa: PLC0415  heavy
    from governance.trail.proofs import check_proof  # noqa: PLC0415  heavy

    data = (leaf or proof.with_suffix(".leaf")).read_bytes()
    trust = Trust.from_bytes(trust_file.read_bytes())
    proved, act = check_proof(proof.read_bytes(), data, trust), Entry.of(data)
    said: dict[str, Json] = {
        "act": proved.index,
        "kind": act.kind,
        "at": act.at,
        "origin": trust.origin,
        "size": proved.size,
        "witnesses": [{"witness": person, "at": at} for person, at in proved.witnesses],
    }
    lines = (
        f"act {proved.index} ({act.kind}, {act.at}) stands in {trust.origin}",
        f"under its signed checkpoint of size {proved.size}",
        *_seen(proved.witnesses),
    )
    _say(said, lines, as_json=as_json)


@ledger.command()
@click.option(
    "--size", type=click.IntRange(1), help="Not the newest one, but the one of this size."
)
@click.pass_obj
def checkpoint(workspace: Path, size: int | None) -> None:
    """Print a signed checkpoint with its cosignatures. Keep it: nobody can go back behind it.

    \b
    Example:
        pramana ledger checkpoint > kept.note
    """  # noqa: D301
    click.echo(_note(_place(workspace), size), nl=False)


@ledger.command()
@click.option("--key", type=FILE, help="The witness's private key, Ed25519.")
@click.option("--state", type=FOLDER, help="Where the witness keeps what it saw.")
@click.option("--mirror", type=FOLDER, help="Cosign an exported copy, away from the workspace.")
@click.option(
    "--log-key", "vkeys", multiple=True, metavar="VKEY",
    help="A key of the log that you vouch for, in place of those pinned at first sight.",
)  # fmt: skip
@click.option("--add", type=FILE, help="Keep the cosignatures of a checkpoint that came back.")
@click.pass_obj
def witness(
    workspace: Path,
    *,
    key: Path | None,
    state: Path | None,
    mirror: Path | None,
    vkeys: tuple[str, ...],
    add: Path | None,
) -> None:
    """Cosign the newest checkpoint, if the trail only grew.

    Grew, that is, since this witness saw it last. A witness is somebody else, with a key (`openssl
    genpkey -algorithm ed25519`) and a folder of its own. One that cannot reach the workspace is
    sent a copy, and sends the checkpoint back.

    \b
    Examples:
        pramana ledger witness --key dpo.pem --state witnessed/
        pramana ledger witness --key dpo.pem --state witnessed/ --mirror copy/ > cosigned.note
        pramana ledger witness --add cosigned.note
    """  # noqa: D301
    from app.cosigning import cosigned, cosigned_copy  # noqa: PLC0415  heavy
    from governance.errors import UsageError  # noqa: PLC0415  heavy
    from governance.trail.witness import accept  # noqa: PLC0415  heavy

    if add:
        place = _place(workspace)
        kept = accept(place.ledger, place.keyring.trust(), add.read_bytes())
        click.echo("\n".join(_seen(kept)))
        return
    if key is None or state is None:
        raise UsageError("A witness needs --key and --state; --add needs neither.")
    if mirror:
        click.echo(cosigned_copy(mirror, key, state, vkeys), nl=False)
        return
    click.echo("\n".join(_seen(cosigned(_place(workspace), key, state, vkeys))))


@ledger.command()
@click.argument("old", type=FILE)
@AS_JSON
@click.pass_obj
def consistency(workspace: Path, old: Path, *, as_json: bool) -> None:
    """Prove that the trail extends a checkpoint somebody kept.

    OLD is the file it was kept in.

    \b
    Example:
        pramana ledger consistency kept.note
    """  # noqa: D301
    import base64  # noqa: PLC0415  heavy

    from governance.trail.witness import check_checkpoint, check_grown  # noqa: PLC0415  heavy

    place = _place(workspace)
    trust, trail = place.keyring.trust(), place.ledger
    kept, head = check_checkpoint(old.read_bytes(), trust), check_checkpoint(_note(place), trust)
    proof = trail.consistency(kept.size, head.size) if 0 < kept.size <= head.size else []
    check_grown(kept, head, proof)
    steps = [base64.b64encode(step).decode() for step in proof]
    said: dict[str, Json] = {
        "old": {"size": kept.size, "root": kept.root.hex()},
        "new": {"size": head.size, "root": head.root.hex()},
        "proof": steps,
    }
    lines = (
        f"the trail of {head.size} entries extends the one of {kept.size}",
        f"old root {kept.root.hex()}",
        f"new root {head.root.hex()}",
        *(f"proof {step}" for step in steps),
    )
    _say(said, lines, as_json=as_json)


@ledger.command()
@click.option("--out", required=True, type=FOLDER, help="A new folder.")
@click.pass_obj
def export(workspace: Path, out: Path) -> None:
    """Write the trail as static files that anybody can mirror.

    They are C2SP tlog-tiles: the checkpoint, every hash, every entry.

    \b
    Example:
        pramana ledger export --out public/
    """  # noqa: D301
    from governance.trail import tiles  # noqa: PLC0415  heavy

    found = tiles.export(_place(workspace).ledger, out)
    click.echo(f"{found.size} entries in {out}: checkpoint, tile/")


@ledger.command()
@click.option(
    "--to", required=True, metavar="URL",
    help="postgresql://user@host/name, or sqlite:////folder/ledger.db; nothing may be there yet.",
)  # fmt: skip
@click.pass_obj
def copy(workspace: Path, to: str) -> None:
    """Copy the trail to another database and verify it there.

    The two roots are compared. What was there before stays as it is.

    \b
    Example:
        pramana ledger copy --to postgresql://pramana@db.example/pramana
    """  # noqa: D301
    from dataclasses import replace  # noqa: PLC0415  heavy

    from governance.trail import ledger as trails  # noqa: PLC0415  heavy

    trail = _place(workspace).ledger
    head = trails.copy(trail, replace(trail, url=to))
    click.echo(f"{head.size} entries copied and verified, root {head.root.hex()}")
    click.echo("use it from now on: set PRAMANA_LEDGER to its URL")


def _place(workspace: Path) -> "Workspace":
    """Return the workspace that is there: a question must not begin a new one."""
    from governance.errors import EvidenceMissing  # noqa: PLC0415  heavy
    from governance.workspace import STATE_FOLDER, Workspace  # noqa: PLC0415  heavy

    if not (workspace / STATE_FOLDER).is_dir():
        raise EvidenceMissing(f"There is no workspace in {workspace}; run `pramana audit` first.")
    return Workspace.at(workspace)


def _note(place: "Workspace", size: int | None = None) -> str:
    """Return a signed checkpoint. Raises EvidenceMissing when there is none."""
    from governance.errors import EvidenceMissing  # noqa: PLC0415  heavy

    note = place.ledger.note(size)
    if not note:
        raise EvidenceMissing("The ledger is empty: there is no checkpoint yet.")
    return note


def _number(act: str, size: int) -> int:
    from governance.errors import UsageError  # noqa: PLC0415  heavy

    if act != "latest" and not (act.isascii() and act.isdigit()):
        raise UsageError(f"An act is named by its number, or `latest`; {act!r} is neither.")
    return size - 1 if act == "latest" else int(act)


def _vkeys(place: "Workspace", size: int) -> list[str]:
    """Return the keys a C2SP reader needs for a checkpoint: the log's, then each witness's."""
    from governance.trail.note import log_vkey, witness_vkey  # noqa: PLC0415  heavy
    from governance.trail.witness import witness_name  # noqa: PLC0415  heavy

    trust, act = place.keyring.trust(), max(size - 1, 0)
    watching = [k.public for k in trust.keys if k.role == "witness" and k.counts(act)]
    return [
        *(log_vkey(trust.origin, key) for key in trust.of("log", at=act)),
        *(witness_vkey(witness_name(key), key) for key in watching),
    ]


def _seen(witnesses: "Sequence[tuple[str, int]]") -> list[str]:
    from datetime import UTC, datetime  # noqa: PLC0415  heavy

    return [
        f"witness {person} saw it at {datetime.fromtimestamp(at, UTC).isoformat()}"
        for person, at in witnesses
    ]


def _say(said: "dict[str, Json]", lines: "Sequence[str]", *, as_json: bool) -> None:
    from governance.canon import canonical  # noqa: PLC0415  heavy

    click.echo(canonical(said).decode() if as_json else "\n".join(lines))
