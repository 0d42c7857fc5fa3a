"""Encrypted pictures: without its key none is read, with its key only as it was sealed."""

import os
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from governance.canon import file_sha256, sha256
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.sealing.sealed import DataKeys, NewKeys, decrypt, encrypt, erase_keys, read_keys
from governance.snapshot import MANIFEST, Shard, Snapshot, seal

PICTURES = [f"picture {number}".encode() * 40 for number in range(6)]
COPIED = [*PICTURES, PICTURES[0]]  # the last sample is a copy of the first
DIGESTS = [sha256(picture) for picture in PICTURES]


def _rows() -> pa.Table:
    columns: dict[str, list[object]] = {
        name: [None] * len(COPIED) for name in MANIFEST.names
    } | {
        "id": [f"id{n}" for n in range(len(COPIED))],
        "shard": [0] * len(COPIED),
        "row": list(range(len(COPIED))),
        "sha256": [sha256(picture) for picture in COPIED],
        "size_bytes": [len(picture) for picture in COPIED],
        "caption": ["a caption"] * len(COPIED),
    }  # fmt: skip
    return pa.table(columns, schema=MANIFEST)


def _written(folder: Path, cells: list[bytes], *, encrypted: bool) -> Shard:
    path = folder / "shards" / "0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"cell": pa.array(cells, pa.binary())}), path, row_group_size=4)
    return Shard(
        path="shards/0.parquet", sha256=file_sha256(path), size_bytes=path.stat().st_size,
        rows=len(cells), column="cell", encrypted=encrypted,
    )  # fmt: skip


def _sealed(folder: Path, *, new: NewKeys | None = None) -> Snapshot:
    new = new or NewKeys(folder / "keys")
    incoming = folder / "snapshots" / ".incoming"
    shard = _written(incoming, [new.encrypted(p) for p in COPIED], encrypted=True)
    return seal(
        folder / "snapshots", rows=_rows(), shards=[shard], sources=["x"], appearing=new.kept
    )


def _plain(folder: Path) -> Snapshot:
    shard = _written(folder / "snapshots" / ".incoming", COPIED, encrypted=False)
    return seal(folder / "snapshots", rows=_rows(), shards=[shard], sources=["x"])


def _vouched(snapshot: Snapshot, cells: list[bytes]) -> Snapshot:
    """Rewrite the shard and its record, as whoever holds both can."""
    return replace(snapshot, shards=(_written(snapshot.folder, cells, encrypted=True),))


def _read(snapshot: Snapshot, row: int, keys: DataKeys | None) -> bytes:
    (data,) = snapshot.open_shard(0).images([row], [sha256(COPIED[row])], keys)
    return data


def _cells(snapshot: Snapshot) -> list[bytes]:
    return pq.read_table(snapshot.shard_path(0))["cell"].to_pylist()


def test_with_its_key_each_picture_comes_back_as_sealed(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    keys = read_keys(tmp_path / "keys", snapshot.root)
    shard = snapshot.open_shard(0)
    rows = list(range(len(COPIED)))
    assert list(shard.images(rows, [sha256(p) for p in COPIED], keys)) == COPIED
    assert sorted(keys.digests()) == sorted(DIGESTS)


def test_the_root_is_that_of_the_plain_pictures(tmp_path: Path) -> None:
    assert _sealed(tmp_path / "a").root == _plain(tmp_path / "b").root


def test_no_plain_picture_stands_in_the_file(tmp_path: Path) -> None:
    data = _sealed(tmp_path).shard_path(0).read_bytes()
    assert not [picture for picture in PICTURES if picture[:9] in data]


def test_copies_share_a_key_and_no_two_cells_are_alike(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    keys = read_keys(tmp_path / "keys", snapshot.root)
    records = keys.records
    assert len({records[at + 32 : at + 64] for at in range(0, len(records), 64)}) == len(PICTURES)
    cells = _cells(snapshot)
    assert len({cell[:12] for cell in cells}) == len(cells), "a nonce stands twice"
    assert decrypt(cells[-1], key=keys.key(DIGESTS[0]), digest=DIGESTS[0]) == PICTURES[0]


def test_the_cipher_is_aes_256_gcm_bound_to_the_digest() -> None:
    key, nonce = bytes(range(32)), bytes(12)
    cell = encrypt(b"image", key=key, digest=DIGESTS[0], nonce=nonce)
    assert cell == nonce + AESGCM(key).encrypt(nonce, b"image", bytes.fromhex(DIGESTS[0]))


def test_without_keys_nothing_is_read(tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match="encrypted and no keys"):
        _read(_sealed(tmp_path), 0, None)


def test_a_picture_whose_key_is_not_there_is_not_read(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    keys = read_keys(tmp_path / "keys", snapshot.root).only([DIGESTS[1]])
    assert _read(snapshot, 1, keys) == PICTURES[1]
    with pytest.raises(EvidenceMissing, match="its key was erased"):
        _read(snapshot, 2, keys)


CELLS = {
    "swapped with another": lambda cells: [cells[1], cells[0], *cells[2:]],
    "one bit flipped": lambda cells: [cells[0][:-1] + bytes([cells[0][-1] ^ 1]), *cells[1:]],
    "nonce flipped": lambda cells: [bytes([cells[0][0] ^ 1]) + cells[0][1:], *cells[1:]],
    "tag cut": lambda cells: [cells[0][:-16], *cells[1:]],
    "less than a nonce": lambda cells: [cells[0][:5], *cells[1:]],
    "nothing": lambda cells: [b"", *cells[1:]],
    "the plain picture": lambda cells: [COPIED[0], *cells[1:]],
}


@pytest.mark.parametrize("attack", CELLS.values(), ids=CELLS.keys())
def test_a_cell_that_was_touched_is_not_read_even_when_its_file_is_vouched_for(
    tmp_path: Path, attack
) -> None:
    snapshot = _sealed(tmp_path)
    keys = read_keys(tmp_path / "keys", snapshot.root)
    with pytest.raises(Tampered, match="ciphertext"):
        _read(_vouched(snapshot, attack(_cells(snapshot))), 0, keys)


def test_who_holds_a_key_still_cannot_put_another_picture_under_it(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    keys = read_keys(tmp_path / "keys", snapshot.root)
    forged = encrypt(b"other", key=keys.key(DIGESTS[0]), digest=DIGESTS[0], nonce=bytes(12))
    with pytest.raises(Tampered, match="other bytes than were sealed"):
        _read(_vouched(snapshot, [forged, *_cells(snapshot)[1:]]), 0, keys)


def test_another_samples_key_opens_nothing(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    keys = read_keys(tmp_path / "keys", snapshot.root)
    wrong = DataKeys.of(snapshot.root, {bytes.fromhex(DIGESTS[0]): keys.key(DIGESTS[1])})
    with pytest.raises(Tampered, match="another key"):
        _read(snapshot, 0, wrong)


def test_keys_are_never_printed_and_reach_a_worker(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    keys = read_keys(tmp_path / "keys", snapshot.root)
    shown = repr(replace(snapshot, keys=keys)) + repr(keys) + str(keys)
    assert keys.key(DIGESTS[0]).hex() not in shown
    assert "records" not in shown
    assert pickle.loads(pickle.dumps(keys)).key(DIGESTS[0]) == keys.key(DIGESTS[0])  # noqa: S301


def _table(folder: Path, root: str) -> Path:
    return folder / "keys" / f"{root}.keys"


def test_only_the_keeper_can_read_the_table(tmp_path: Path) -> None:
    path = _table(tmp_path, _sealed(tmp_path).root)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_table_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    snapshot = _sealed(tmp_path)
    _table(tmp_path, snapshot.root).chmod(mode)
    with pytest.raises(Refused, match=f"mode {mode:04o}"):
        read_keys(tmp_path / "keys", snapshot.root)


def test_a_table_that_is_gone_is_missing_evidence(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    _table(tmp_path, snapshot.root).unlink()
    with pytest.raises(EvidenceMissing, match="none of its pictures can be read"):
        read_keys(tmp_path / "keys", snapshot.root)
    with pytest.raises(EvidenceMissing):
        read_keys(tmp_path / "never made", snapshot.root)


def _resummed(data: bytes) -> bytes:
    return data[:-32] + bytes.fromhex(sha256(data[:-32]))


TABLES = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-64],
    "a key flipped": lambda data: data[:-33] + bytes([data[-33] ^ 1]) + data[-32:],
    "half a record": lambda data: _resummed(data[:-42] + data[-32:]),
    "out of order": lambda data: _resummed(data[:48] + data[112:176] + data[48:112] + data[176:]),
    "a record twice": lambda data: _resummed(data[:48] + data[48:112] + data[48:]),
    "another schema": lambda data: _resummed(b"x" + data[1:]),
    "another snapshot": lambda data: _resummed(data[:16] + bytes(32) + data[48:]),
}


@pytest.mark.parametrize("edit", TABLES.values(), ids=TABLES.keys())
def test_a_table_that_was_touched_is_not_read(tmp_path: Path, edit) -> None:
    snapshot = _sealed(tmp_path)
    path = _table(tmp_path, snapshot.root)
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(Tampered, match="keys"):
        read_keys(tmp_path / "keys", snapshot.root)


class _Killed(BaseException):
    """What a power cut looks like from inside."""


def test_a_kill_just_after_the_snapshot_appeared_loses_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = []

    def killed_at_the_second(old: Path, new: Path, move=os.replace) -> None:
        if str(new).endswith(".keys") and not moved:
            moved.append(new)
            raise _Killed
        move(old, new)

    monkeypatch.setattr(os, "replace", killed_at_the_second)
    with pytest.raises(_Killed):
        _sealed(tmp_path)
    (folder,) = [p for p in (tmp_path / "snapshots").iterdir() if not p.name.startswith(".")]
    assert not _table(tmp_path, folder.name).exists()
    assert len(read_keys(tmp_path / "keys", folder.name)) == len(PICTURES)
    assert _table(tmp_path, folder.name).exists()


def test_a_kill_before_the_snapshot_appeared_is_made_good_by_ingesting_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_at_the_first(old: Path, new: Path, move=os.replace) -> None:
        if Path(old).name == ".incoming":
            raise _Killed
        move(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed_at_the_first)
        with pytest.raises(_Killed):
            _sealed(tmp_path)
    snapshot = _sealed(tmp_path)
    assert _read(snapshot, 3, read_keys(tmp_path / "keys", snapshot.root)) == PICTURES[3]
    assert [p.name for p in (tmp_path / "keys").iterdir()] == [f"{snapshot.root}.keys"]


def test_ingesting_again_keeps_the_ciphertexts_and_the_keys(tmp_path: Path) -> None:
    first = _sealed(tmp_path)
    shard, table = first.shard_path(0), _table(tmp_path, first.root)
    before = file_sha256(shard), file_sha256(table)
    again = _sealed(tmp_path)
    assert (again.root, file_sha256(shard), file_sha256(table)) == (first.root, *before)


def test_plain_samples_are_never_left_where_encrypted_ones_were_asked_for(tmp_path: Path) -> None:
    plain = _plain(tmp_path)
    with pytest.raises(Refused, match="lie here in plain"):
        _sealed(tmp_path)
    assert not (tmp_path / "snapshots" / ".incoming").exists()
    assert _read(plain, 0, None) == COPIED[0]


def test_encrypted_samples_stay_encrypted_when_ingested_in_plain(tmp_path: Path) -> None:
    first = _sealed(tmp_path)
    assert _plain(tmp_path).encrypted
    assert _read(first, 0, read_keys(tmp_path / "keys", first.root)) == COPIED[0]
    assert not [p for p in tmp_path.rglob("*.parquet") if PICTURES[0] in p.read_bytes()]


def test_keys_of_a_snapshot_that_is_elsewhere_are_never_written_over(tmp_path: Path) -> None:
    first = _sealed(tmp_path)
    first.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="Put its folder back"):
        _sealed(tmp_path)


def test_an_erased_key_is_gone_from_the_table_and_from_its_old_blocks(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    path = _table(tmp_path, snapshot.root)
    key = read_keys(tmp_path / "keys", snapshot.root).key(DIGESTS[2])
    with path.open("rb") as old:
        assert erase_keys(tmp_path / "keys", snapshot.root, [DIGESTS[2]]) == 1
        assert not any(old.read()), "the blocks of the old table still hold keys"
    assert key not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    keys = read_keys(tmp_path / "keys", snapshot.root)
    with pytest.raises(EvidenceMissing, match="erased"):
        _read(snapshot, 2, keys)
    assert _read(snapshot, 3, keys) == PICTURES[3]
    assert erase_keys(tmp_path / "keys", snapshot.root, [DIGESTS[2]]) == 0


def test_erasures_at_the_same_time_all_last(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    threads = [
        threading.Thread(target=erase_keys, args=(tmp_path / "keys", snapshot.root, [digest]))
        for digest in DIGESTS[:5]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_keys(tmp_path / "keys", snapshot.root).digests() == [DIGESTS[5]]
