"""Attacks through what is read: sources, pictures, policies, settings.

Does not see: what a detector makes of a picture; evasion is a limit, and `limits` says so.
"""

import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from app.redteam.attack import Attack, Unharmed, Victim
from app.redteam.forged import flip
from app.redteam.scratch import Scratch
from governance.canon import canonical, file_sha256
from governance.errors import Tampered, UsageError
from governance.images import Undecodable, decode
from governance.signers import roles
from governance.signers.keys import make_key

INSIDE: Final = "a source is read below its own folder, regular files only"
BOUNDED: Final = "a small file cannot make the reader large"
PLAIN: Final = "what is trained on are pixels; nothing else in a file is carried along"
STRICT: Final = "what can be read in two ways is not read at all"
PINNED: Final = "weights and settings of audits are the ones that were named"
KNOWN: Final = "what is not known violates"
OUTSIDE = "outside.png"
SIDE_PX = 30_000
BOMB_BYTES = 1 << 28


def _naming(name: str) -> Callable[[Scratch], Victim]:
    """Return an attack by a dataset whose metadata names such a file."""

    def act(scratch: Scratch) -> Victim:
        folder = _hostile(scratch)
        (folder.parent / OUTSIDE).write_bytes(_png())
        _list(folder, {"file_name": name, "text": "a circle"})
        return partial(scratch.audit, folder)

    return act


def _linked(scratch: Scratch) -> Victim:
    folder = _hostile(scratch)
    (folder.parent / OUTSIDE).write_bytes(_png())
    (folder / "link.png").symlink_to(folder.parent / OUTSIDE)
    return partial(scratch.audit, folder)


def _piped(scratch: Scratch) -> Victim:
    """Name a pipe, which would be waited for without an end."""
    folder = _hostile(scratch)
    os.mkfifo(folder / "pipe.png")
    return partial(scratch.audit, folder)


def _device(_scratch: Scratch) -> Victim:
    return partial(_scratch.audit, Path("/dev/zero"))


def _device_linked(scratch: Scratch) -> Victim:
    folder = _hostile(scratch)
    (folder / "zero.png").symlink_to("/dev/zero")
    return partial(scratch.audit, folder)


def _hard_linked(scratch: Scratch) -> Victim:
    """Audit Parquet that has a second name, and write through that name afterwards."""
    path = scratch.folder / "set.parquet"
    rows = [p.read_bytes() for p in sorted(scratch.scenes.glob("*.png"))[:24]]
    pq.write_table(
        pa.table({"image": rows, "caption": ["a circle"] * 24, "license": ["CC0-1.0"] * 24}), path
    )
    os.link(path, scratch.folder / "second-name.parquet")
    scratch.audit(path)
    flip(scratch.folder / "second-name.parquet", at=2000)
    return scratch.train


def _tarred(name: str, kind: bytes = tarfile.REGTYPE) -> Callable[[Scratch], Victim]:
    """Return an attack by a tar with such a member."""

    def act(scratch: Scratch) -> Victim:
        path, data = scratch.folder / "set.tar", _png()
        with tarfile.open(path, "w") as archive:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(data), kind
            archive.addfile(member, io.BytesIO(data))
        return partial(scratch.audit, path)

    return act


def _bomb(side_px: int) -> Callable[[Scratch], Victim]:
    """Return an attack by a PNG of a few kilobytes that is that many pixels wide and high."""

    def act(_scratch: Scratch) -> Victim:
        data = _zeros_png(side_px)

        def victim() -> object:
            try:
                decode(data)
            except Undecodable as fault:
                return Unharmed(f"the sample has no picture: {str(fault).partition(':')[0]}")
            return None

        return victim

    return act


def _text_bomb(_scratch: Scratch) -> Victim:
    """Hide a quarter of a gigabyte of text in a PNG."""
    text = zlib.compress(bytes(BOMB_BYTES), 9)
    chunk = b"zTXt" + b"comment\0\0" + text
    whole = _png()
    data = whole[:33] + _chunk(chunk) + whole[33:]

    def victim() -> object:
        try:
            decode(data)
        except Undecodable as fault:
            return Unharmed(f"the sample has no picture: {str(fault).partition(':')[0]}")
        return None

    return victim


def _polyglot(_scratch: Scratch) -> Victim:
    """Make a file that is a picture and an archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("payload.sh", "echo owned")
    data = _png() + archive.getvalue()
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError("this is no polyglot")

    def victim() -> object:
        picture = decode(data)
        again = io.BytesIO()
        picture.image.save(again, "PNG")
        clean = not zipfile.is_zipfile(again) and picture.trailing_bytes == len(archive.getvalue())
        return (
            Unharmed("the bytes behind it are counted, and no pixel holds them") if clean else None
        )

    return victim


def _policy(text: str) -> Callable[[Scratch], Victim]:
    """Return an attack by a policy with such a text."""

    def act(scratch: Scratch) -> Victim:
        pack = scratch.folder / "own.yaml"
        pack.write_text(text)
        return partial(scratch.audit, packs=(str(pack),))

    return act


def _metadata(line: str) -> Callable[[Scratch], Victim]:
    """Return an attack by a line of metadata that JSON's readers disagree about."""

    def act(scratch: Scratch) -> Victim:
        folder = _hostile(scratch)
        (folder / "metadata.jsonl").write_text(line)
        return partial(scratch.audit, folder)

    return act


def _confusable(scratch: Scratch) -> Victim:
    """Have somebody enrolled whose name looks like another's: its first letter is Cyrillic."""
    public = make_key(scratch.folder / "other.pem", "dpo")
    return lambda: roles.trust_key(scratch.workspace, role="dpo", person="\u0430sha", public=public)


def _plugin(scratch: Scratch) -> Victim:
    """Ask for an audit of one's own in the settings."""
    _declare(scratch, '[audits.mine]\npath = "evil.py"\n')
    return scratch.audit


def _detector(scratch: Scratch) -> Victim:
    """Change the weights of a detector that the operator pinned."""
    path = scratch.workspace.folder / "second.onnx"
    path.write_bytes(b"weights" * 100)
    _declare(
        scratch,
        f'[audits.nsfw.second]\npath = "second.onnx"\nsha256 = "{file_sha256(path)}"\n'
        'labels = ["safe", "unsafe"]\nsize_px = 64\n',
    )
    flip(path)
    return scratch.audit


def _unknown_score(value: float | None) -> Callable[[Scratch], Victim]:
    """Return an attack by a sample whose measure is NULL, or no number, under a rule on it."""

    def act(_scratch: Scratch) -> Victim:
        from policies.compile import connect, evaluate, parse  # noqa: PLC0415  heavy

        rows = pa.table({"nsfw_score": pa.array([0.1, value, 0.9], pa.float32())})

        def victim() -> object:
            condition = parse("nsfw_score < 0.5")
            outcome = evaluate(connect(), rows, when=parse("TRUE"), require=condition)
            told = outcome.violates.tolist() == [False, True, True]
            return Unharmed("the rule counts it as a violation") if told else None

        return victim

    return act


def _not_a_number(_scratch: Scratch) -> Victim:
    """Have a record hashed that holds no number where one should be."""
    return lambda: canonical({"score": float("nan")})


def _hostile(scratch: Scratch) -> Path:
    folder = scratch.folder / "hostile"
    folder.mkdir()
    (folder / "a.png").write_bytes(_png())
    _list(folder, {"file_name": "a.png", "text": "a circle"})
    return folder


def _list(folder: Path, record: dict[str, str]) -> None:
    (folder / "metadata.jsonl").write_text(json.dumps(record) + "\n")


def _declare(scratch: Scratch, text: str) -> None:
    path = scratch.workspace.folder / "pramana.toml"
    path.write_text(path.read_text() + text)


def _png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (20, 90, 200)).save(stream, "PNG")
    return stream.getvalue()


def _chunk(named: bytes) -> bytes:
    """Return a PNG chunk: length, type and data, checksum."""
    return struct.pack(">I", len(named) - 4) + named + struct.pack(">I", zlib.crc32(named))


def _zeros_png(side_px: int) -> bytes:
    """Return a one-bit PNG of zeros, whose bytes are packed a thousandfold."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side_px // 8)
    data = b"".join(packer.compress(row) for _ in range(side_px)) + packer.flush()
    head = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    parts = (b"IHDR" + head, b"IDAT" + data, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, parts))


_HEAD = (
    "schema: pramana.policy/v1\nid: {id}\nversion: 1.0.0\nregime: {{name: x, jurisdiction: any}}\n"
)
_RULE = (
    "rules:\n  - id: {rule}\n    cite: {{instrument: x}}\n    status: voluntary\n"
    "    severity: low\n"
    "    on: sample\n    evidence: {{columns: [caption]}}\n    require: {require}\n"
    "    remedy: exclude\n    waive: never\n    why: x\n"
)
ALIASES = "\n".join(
    ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))]
)
GOOD = _HEAD.format(id="own") + _RULE.format(rule="OWN-1", require="length(caption) > 0")

_path = partial(Attack, threat="path traversal", holds=INSIDE, error=UsageError)
_link = partial(Attack, threat="link, FIFO, device", holds=INSIDE, error=UsageError)
_large = partial(Attack, threat="bomb, zip slip", holds=BOUNDED)
_twice = partial(Attack, threat="duplicate keys, confusables", holds=STRICT, error=UsageError)
_score = partial(Attack, threat="NULL or NaN score", holds=KNOWN)
_tool = partial(Attack, threat="plugin or detector weights changed", holds=PINNED)

ATTACKS: Final = (
    _path(name="metadata names ../", act=_naming(f"../{OUTSIDE}"), check="leaves the folder"),
    _path(
        name="metadata names an absolute path", act=_naming("/etc/hostname"),
        check="leaves the folder",
    ),
    _path(
        name="metadata names an address", act=_naming("file:///etc/hostname"),
        check="is no local path",
    ),
    _link(name="a picture is a link to a file outside", act=_linked, check="leaves the folder"),
    _link(name="a picture is a pipe", act=_piped, check="is no regular file"),
    _link(name="a source is a device", act=_device, check="is neither a file nor a folder"),
    _link(name="a picture is a link to a device", act=_device_linked, check="leaves the folder"),
    _link(
        name="a file is written to through its second name", act=_hard_linked, error=Tampered,
        check="is not the file that was sealed",
    ),
    Attack(
        name="a member of a tar is named ../", threat="bomb, zip slip", holds=INSIDE,
        act=_tarred("../a.png"), error=UsageError, check="leaves the archive",
    ),
    Attack(
        name="a member of a tar has an absolute name", threat="bomb, zip slip", holds=INSIDE,
        act=_tarred("/a.png"), error=UsageError, check="leaves the archive",
    ),
    _large(name="a picture has 12,000 pixels a side", act=_bomb(12_000)),
    _large(name="a picture has 30,000 pixels a side", act=_bomb(SIDE_PX)),
    _large(name="a picture holds 256 MiB of text in 256 KiB", act=_text_bomb),
    Attack(
        name="a policy is an alias bomb", threat="bomb, zip slip", holds=BOUNDED,
        act=_policy(ALIASES), error=UsageError, check="an alias stands in line",
    ),
    Attack(
        name="a policy has two megabytes", threat="bomb, zip slip", holds=BOUNDED,
        act=_policy(GOOD + "#" * (2 << 20)), error=UsageError, check="at most 1048576 are read",
    ),
    Attack(
        name="a picture is an archive as well", threat="polyglot", holds=PLAIN, act=_polyglot
    ),
    _twice(
        name="a key stands twice in a line of metadata",
        act=_metadata('{"file_name": "a.png", "text": "a", "license": "CC0-1.0", "license": "x"}'),
        check="stands twice",
    ),
    _twice(
        name="a key stands twice in a policy",
        act=_policy(GOOD + "    remedy: record\n"), check="stands twice",
    ),
    _twice(
        name="a rule's id has a Cyrillic letter",
        act=_policy(GOOD.replace("OWN-1", "\u041eWN-1")), check="key 'id'",
    ),
    _twice(
        name="a policy's id has a Cyrillic letter",
        act=_policy(GOOD.replace("id: own", "id: \u043ewn")), check="key 'id'",
    ),
    _twice(
        name="a person is enrolled whose name looks like another's", act=_confusable,
        check="named by a lower-case word",
    ),
    _twice(
        name="a condition of a policy reads a file",
        act=_policy(GOOD.replace("length(caption) > 0", "read_text('/etc/hostname') IS NULL")),
        check="is not allowed",
    ),
    _score(name="a score is NULL", act=_unknown_score(None)),
    _score(name="a score is NaN", act=_unknown_score(float("nan"))),
    Attack(
        name="a record holds NaN", threat="NULL or NaN score", holds=KNOWN, act=_not_a_number,
        error=UsageError, check="no canonical JSON",
    ),
    _tool(
        name="the settings name an audit of one's own", act=_plugin, error=UsageError,
        check="audits with settings are",
    ),
    _tool(
        name="the weights of a pinned detector are changed", act=_detector, error=Tampered,
        check="The second detector",
    ),
)  # fmt: skip
