"""Canonical bytes: RFC 8785 JSON, SHA-256 digests, strict parsing, files written whole or not.

Does not see: what the bytes mean. A digest says "these bytes", never "true".
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

import rfc8785
import yaml

from governance.errors import Refused, UsageError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

MAX_YAML_BYTES = 1 << 20  # a policy or a preset is a page, not a library
CHUNK_BYTES = 1 << 20


def canonical(value: Json) -> bytes:
    """Return the canonical JSON of `value`. Source: RFC 8785.

    Raises:
        UsageError: the value holds NaN, an infinity or an integer of 2**53 or more.
    """
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as fault:
        raise UsageError(f"This value has no canonical JSON ({fault}); write it as text.") from None


def sha256(data: bytes | bytearray | memoryview) -> str:
    """Return the SHA-256 of `data` as 64 hex digits. Source: FIPS 180-4."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Json) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, as 64 hex digits."""
    return sha256(canonical(value))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hex digits. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def code_digest(folder: Path) -> str:
    """Return one digest for all Python and YAML files under a package folder: which code ran."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".yaml", ".csv"})
    return digest({str(p.relative_to(folder).as_posix()): file_sha256(p) for p in files})


def parse_json(data: bytes | str) -> Json:
    """Parse JSON strictly.

    Raises:
        UsageError: not JSON, a key stands twice, or a number is NaN or infinite.
    """
    try:
        parsed: Json = json.loads(
            data, object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as fault:
        raise UsageError(f"This is not JSON we accept: {fault}.") from None
    return parsed


def parse_yaml(text: str) -> Json:
    """Parse YAML strictly: no aliases, no key twice, no Python tags, at most 1 MiB.

    Raises:
        UsageError: any of these, or it is not YAML.
    """
    size_bytes = len(text.encode())
    if size_bytes > MAX_YAML_BYTES:
        raise UsageError(f"This YAML has {size_bytes} bytes; at most {MAX_YAML_BYTES} are read.")
    try:
        parsed: Json = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  a SafeLoader, stricter
    except (yaml.YAMLError, RecursionError) as fault:
        raise UsageError(f"This is not YAML we accept: {fault}.") from None
    return parsed


def printable(text: str) -> str:
    """Return `text` without control, format and bidirectional characters; captions are hostile."""
    return "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"} else c for c in text)


@contextlib.contextmanager
def whole_file(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Yield a stream whose bytes appear at `path` all at once when the block ends well.

    The temporary name is beside the target; it is flushed to disk, renamed over the target, and
    the folder is flushed too. On any error the target is as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        os.replace(name, path)  # noqa: PTH105  named in the house style
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def check_unused(path: Path) -> None:
    """Raise UsageError when something is at `path` that is not an empty folder."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} holds files already; name a new folder.")


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill; it stands at `path` when the block ends well, and else nowhere.

    Raises:
        UsageError: something is there already that is not an empty folder.
    """
    check_unused(path)
    making = path.with_name(f".{path.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        yield making
        if path.exists():
            path.rmdir()
        making.rename(path)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    flush_folder(path.parent)


def write_whole(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` to `path` whole or not at all."""
    with whole_file(path, mode=mode) as stream:
        stream.write(data)


def check_private(path: Path, *, what: str, otherwise: str) -> None:
    """Hold a file to be its owner's alone: mode 0600.

    Args:
        path: the file, which is there.
        what: it is, as a sentence begins with it.
        otherwise: the sentence that says what to do.

    Raises:
        Refused: others may read it.
    """
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise Refused(
            f"{what} can be read by others (mode {mode:04o}; 0600 is allowed). {otherwise}"
        )


def flush_folder(folder: Path) -> None:
    """Make names that were written or renamed in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unique_pairs(pairs: Iterable[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


class _StrictLoader(yaml.SafeLoader):
    """YAML without aliases (a 9**8 alias bomb is 300 bytes) and without keys that stand twice.

    `on` and `no` are words here, and a date is text, as in YAML 1.2: what comes out is JSON.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(f"an alias stands in line {mark.line + 1}; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  PyYAML's own signature
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.YAMLError(
                f"the key {twice[0]!r} stands twice near line {node.start_mark.line + 1}"
            )
        return super().construct_mapping(node, deep=deep)


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in pairs if not tag.endswith((":bool", ":timestamp"))]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
