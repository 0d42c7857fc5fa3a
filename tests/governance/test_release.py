"""The doors to encrypted pictures: keys go to one reader under one clearance, or are erased."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from governance.canon import canonical, digest, file_sha256, sha256
from governance.clearance import Clearance, Terms, issue, read_clearance, revoke
from governance.errors import EvidenceMissing, PramanaError, Refused, Tampered, UsageError
from governance.records import Decision
from governance.sealing.release import (
    PACKAGE_FILE,
    READER_TYPE,
    check_keys,
    erase,
    erased,
    open_package,
    reader_key,
    release,
    unlocked,
    vouch,
)
from governance.sealing.sealed import DataKeys, NewKeys, erase_keys, read_keys
from governance.signers.keys import Keyring
from governance.snapshot import MANIFEST, Shard, Snapshot, samples_root, seal
from governance.statements import payload_of, sign
from governance.workspace import Workspace

PICTURES = [f"picture {number}".encode() * 40 for number in range(8)]
CLEARED = range(1, 8)  # the first in the manifest's order was excluded
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass(frozen=True)
class House:
    """A workspace with an encrypted snapshot, and a run that used a clearance for most of it."""

    workspace: Workspace
    snapshot: Snapshot
    cleared: pa.Table
    clearance: Clearance

    @property
    def images(self) -> list[str]:
        return self.snapshot.manifest()["sha256"].to_pylist()

    @property
    def reader(self) -> X25519PrivateKey:
        return reader_key(self.workspace.keyring.folder)

    @property
    def package(self) -> Path:
        return self.workspace.runs / "run-1" / PACKAGE_FILE

    def released(self, **changes) -> bytes:
        signer = self.workspace.keyring.signer("trainer")
        asked = {
            "clearance": self.clearance,
            "cleared": self.cleared,
            "reader": vouch(self.reader.public_key(), signer),
            **changes,
        }
        return release(self.workspace, asked.pop("clearance"), **asked)

    def opened(self, package: bytes) -> DataKeys:
        return open_package(package, self.reader, self.clearance)

    def told(self, kind: str) -> list[dict]:
        return [dict(entry.body) for entry in self.workspace.ledger.entries(kind)]


def _snapshot(workspace: Workspace) -> Snapshot:
    new = NewKeys(workspace.data_keys)
    path = workspace.snapshots / ".incoming" / "shards" / "0.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"cell": [new.encrypted(picture) for picture in PICTURES]}), path)
    shard = Shard(
        path="shards/0.parquet", sha256=file_sha256(path), size_bytes=path.stat().st_size,
        rows=len(PICTURES), column="cell", encrypted=True,
    )  # fmt: skip
    rows = [
        {"id": f"id{n}", "shard": 0, "row": n, "sha256": sha256(data), "size_bytes": len(data)}
        for n, data in enumerate(PICTURES)
    ]
    table = pa.Table.from_pylist(rows, schema=MANIFEST)
    return seal(workspace.snapshots, rows=table, shards=[shard], sources=["x"], appearing=new.kept)


def _clearance(workspace: Workspace, snapshot: Snapshot, cleared: pa.Table, run: str) -> Clearance:
    decision = Decision(
        snapshot=snapshot.root, samples=snapshot.samples, measures=digest("measures"),
        audits=digest("audits"), audit_code=digest("code"), findings=digest("findings"),
        as_of="2026-11-23", verdict="pass", cleared_root=samples_root(cleared),
        cleared=cleared.num_rows, excluded=snapshot.samples - cleared.num_rows, policies=(),
        rules=(),
    )  # fmt: skip
    terms = Terms(run_config=digest(run), budget_s=60.0, host="cpu")
    envelope = issue(decision, terms=terms, signer=workspace.keyring.signer("gate"), now=NOON)
    clearance = read_clearance(payload_of(envelope))
    workspace.ledger.append("cleared", {"clearance": clearance.id, "decision": decision.id})
    workspace.ledger.spend(clearance.id, run)
    return clearance


@pytest.fixture
def house(tmp_path: Path) -> House:
    workspace = Workspace.at(tmp_path)
    snapshot = _snapshot(workspace)
    cleared = snapshot.manifest().take(list(CLEARED))
    return House(workspace, snapshot, cleared, _clearance(workspace, snapshot, cleared, "run-1"))


def _read(snapshot: Snapshot, image: str, keys: DataKeys | None) -> bytes:
    rows = {row["sha256"]: row["row"] for row in snapshot.manifest().to_pylist()}
    (data,) = snapshot.open_shard(0).images([rows[image]], [image], keys)
    return data


def test_a_package_opens_what_was_cleared_and_nothing_else(house: House) -> None:
    keys = house.opened(house.released())
    excluded, *cleared = house.images
    assert keys.digests() == cleared
    assert sorted(_read(house.snapshot, image, keys) for image in cleared) == sorted(
        picture for picture in PICTURES if sha256(picture) != excluded
    )
    with pytest.raises(EvidenceMissing, match="not among those that the clearance released"):
        _read(house.snapshot, excluded, keys)


def test_a_package_lies_with_its_run_and_nobody_else_can_read_it(house: House) -> None:
    package = house.released()
    assert house.package.read_bytes() == package
    assert house.package.stat().st_mode & 0o777 == 0o600
    table = read_keys(house.workspace.data_keys, house.snapshot.root)
    assert not [image for image in house.images if table.key(image) in package]


def test_the_ledger_is_told_counts_and_digests_of_a_release(house: House) -> None:
    package = house.released()
    (told,) = house.told("keys.released")
    assert told == {
        "clearance": house.clearance.id, "snapshot": house.snapshot.root, "keys": 7,
        "package": sha256(package), "reader": sha256(house.reader.public_key().public_bytes_raw()),
    }  # fmt: skip


def test_a_run_that_goes_on_gets_its_keys_again(house: House) -> None:
    first, again = house.released(), house.released()
    assert house.opened(first).digests() == house.opened(again).digests()
    assert first != again, "each package is sealed anew"


def _stranger(house: House) -> bytes:
    keyring = Keyring(house.workspace.folder / "stranger")
    return vouch(house.reader.public_key(), keyring.signer("trainer"))


def _by_gate(house: House) -> bytes:
    return vouch(house.reader.public_key(), house.workspace.keyring.signer("gate"))


def _as_statement(house: House) -> bytes:
    said = {"schema": "pramana.reader/v1", "public": "00" * 32}
    return sign(canonical(said), house.workspace.keyring.signer("trainer"))


def _short_key(house: House) -> bytes:
    signer = house.workspace.keyring.signer("trainer")
    return sign(canonical({"public": "00" * 31}), signer, READER_TYPE)


@pytest.mark.parametrize(
    ("reader", "error"),
    [(_stranger, Refused), (_by_gate, Refused), (_as_statement, Tampered), (_short_key, Tampered)],
    ids=["a stranger's", "the gate's word", "another statement", "no X25519 key"],
)
def test_release_1_a_reader_has_a_trainer_we_trust_behind_it(
    house: House, reader: Callable[[House], bytes], error: type[PramanaError]
) -> None:
    with pytest.raises(error, match=r"release \(1\)|was expected"):
        house.released(reader=reader(house))
    assert not house.told("keys.released")


@pytest.mark.parametrize("over", ["run.finished", "run.expired", "run.halted"])
def test_release_2_a_run_that_is_over_gets_no_keys(house: House, over: str) -> None:
    house.workspace.ledger.append(over, {"run": "run-1"})
    with pytest.raises(Refused, match=r"release \(2\)"):
        house.released()


def test_release_2_a_clearance_no_run_used_or_that_was_revoked_releases_nothing(
    house: House,
) -> None:
    with pytest.raises(Refused, match=r"release \(2\)"):
        house.released(clearance=replace(house.clearance, id="0" * 64))
    revoke(house.workspace.ledger, house.clearance.id)
    with pytest.raises(Refused, match=r"release \(2\)"):
        house.released()


@pytest.mark.parametrize("kept", [range(8), range(2, 8), range(7)],
                         ids=["one more", "one fewer", "another"])  # fmt: skip
def test_release_3_only_the_list_that_was_cleared(house: House, kept: range) -> None:
    with pytest.raises(Refused, match=r"release \(3\)"):
        house.released(cleared=house.snapshot.manifest().take(list(kept)))


def test_release_3_the_count_is_the_one_cleared(house: House) -> None:
    with pytest.raises(Refused, match=r"release \(3\)"):
        house.released(clearance=replace(house.clearance, cleared=8))


def test_release_4_a_second_reader_under_one_clearance_is_refused(house: House) -> None:
    house.released()
    other = X25519PrivateKey.generate().public_key()
    with pytest.raises(Refused, match=r"release \(4\)"):
        house.released(reader=vouch(other, house.workspace.keyring.signer("trainer")))


def test_release_5_an_erased_sample_is_released_to_nobody(house: House) -> None:
    erase(house.workspace, house.snapshot.root, [house.images[3]])
    with pytest.raises(EvidenceMissing, match=r"release \(5\): the keys of 1 of 7"):
        house.released()


def test_release_5_not_even_from_an_old_table(house: House) -> None:
    path = house.workspace.data_keys / f"{house.snapshot.root}.keys"
    old = path.read_bytes()
    erase(house.workspace, house.snapshot.root, [house.images[3]])
    path.write_bytes(old)
    with pytest.raises(EvidenceMissing, match=r"release \(5\)"):
        house.released()


def test_erasing_what_was_excluded_stops_no_run(house: House) -> None:
    erase(house.workspace, house.snapshot.root, [house.images[0]])
    assert len(house.opened(house.released())) == 7


def test_package_1_keys_of_another_clearance_are_refused(house: House) -> None:
    other = _clearance(house.workspace, house.snapshot, house.cleared, "run-2")
    theirs = house.released(clearance=other)
    assert (house.workspace.runs / "run-2" / PACKAGE_FILE).read_bytes() == theirs
    with pytest.raises(Refused, match=r"package \(1\)"):
        house.opened(theirs)


def test_package_2_another_reader_is_refused(house: House) -> None:
    package, stranger = house.released(), X25519PrivateKey.generate()
    with pytest.raises(Refused, match=r"package \(2\)"):
        open_package(package, stranger, house.clearance)
    mine = sha256(house.reader.public_key().public_bytes_raw()).encode()
    theirs = sha256(stranger.public_key().public_bytes_raw()).encode()
    with pytest.raises(Tampered, match=r"package \(3\)"):
        open_package(package.replace(mine, theirs), stranger, house.clearance)


def _renamed(package: bytes, house: House) -> bytes:
    """Give a package of another clearance the name of this one."""
    other = _clearance(house.workspace, house.snapshot, house.cleared, "run-2")
    theirs = house.released(clearance=other)
    return theirs.replace(other.id.encode(), house.clearance.id.encode())


@pytest.mark.parametrize(
    "attack",
    [
        _renamed,
        lambda package, _: package[:-1],
        lambda package, _: package[:-1] + bytes([package[-1] ^ 1]),
        lambda package, _: package.partition(b"\n")[0] + b"\n",
        lambda package, _: package.replace(b'"schema":"', b'"schema":"x'),
    ],
    ids=["another clearance's, renamed", "cut", "flipped", "nothing inside", "head edited"],
)
def test_package_3_what_was_touched_is_not_opened(
    house: House, attack: Callable[[bytes, House], bytes]
) -> None:
    with pytest.raises(Tampered, match=r"package \(3\)"):
        house.opened(attack(house.released(), house))


def test_package_4_keys_of_another_snapshot_are_not_those_cleared(house: House) -> None:
    with pytest.raises(Tampered, match=r"package \(4\)"):
        open_package(house.released(), house.reader, replace(house.clearance, snapshot="0" * 64))


def test_no_package_at_all_is_tampered_with(house: House) -> None:
    with pytest.raises(Tampered, match="head of a package"):
        house.opened(b"not a package")


def test_an_erased_picture_can_be_read_by_nobody_and_the_ledger_says_which(house: House) -> None:
    house.released()
    image = house.images[3]
    assert erase(house.workspace, house.snapshot.root, [image]) == 1
    assert house.told("keys.erased") == [{"snapshot": house.snapshot.root, "digests": [image]}]
    assert not house.package.exists(), "a package that was released still holds the key"
    keeper = unlocked(house.workspace, house.snapshot)
    with pytest.raises(EvidenceMissing, match="erased"):
        _read(keeper, image, keeper.keys)
    assert _read(keeper, house.images[4], keeper.keys) in PICTURES


def test_erasing_twice_changes_nothing(house: House) -> None:
    erase(house.workspace, house.snapshot.root, house.images[3:5])
    assert erase(house.workspace, house.snapshot.root, house.images[3:5]) == 0
    assert len(house.told("keys.erased")) == 1


def test_an_erasure_that_was_killed_before_it_was_told_is_told_by_the_next(house: House) -> None:
    erase_keys(house.workspace.data_keys, house.snapshot.root, [house.images[3]])
    with pytest.raises(EvidenceMissing, match="no act erased them"):
        check_keys(house.workspace, house.snapshot.root)
    assert erase(house.workspace, house.snapshot.root, [house.images[3]]) == 1
    assert erased(house.workspace.ledger, house.snapshot.root) == {house.images[3]}


def test_only_pictures_of_the_snapshot_can_be_erased(house: House) -> None:
    with pytest.raises(UsageError, match="has no picture"):
        erase(house.workspace, house.snapshot.root, [house.images[0], "f" * 64])
    assert check_keys(house.workspace, house.snapshot.root) == (8, 0)


def test_a_plain_snapshot_has_no_keys_to_erase_and_is_not_what_was_encrypted(house: House) -> None:
    record = house.snapshot.folder / "snapshot.json"
    record.write_bytes(record.read_bytes().replace(b'"encrypted":true', b'"encrypted":false'))
    with pytest.raises(UsageError, match="no keys to erase"):
        erase(house.workspace, house.snapshot.root, [house.images[0]])
    with pytest.raises(Tampered, match="lies here in plain"):
        check_keys(house.workspace, house.snapshot.root)


def test_the_keys_of_a_snapshot_are_held_to_its_manifest_and_the_ledger(house: House) -> None:
    root, folder = house.snapshot.root, house.workspace.data_keys
    path = folder / f"{root}.keys"
    whole = path.read_bytes()
    erase(house.workspace, root, [house.images[3]])
    assert check_keys(house.workspace, root) == (7, 1)
    path.write_bytes(whole)
    with pytest.raises(Tampered, match="are back"):
        check_keys(house.workspace, root)
    keys = DataKeys.from_bytes(whole).without([house.images[3]])
    path.write_bytes(keys.without([house.images[5]]).to_bytes())
    with pytest.raises(EvidenceMissing, match="1 of 8 pictures have no key"):
        check_keys(house.workspace, root)
    strays = {bytes.fromhex(image): bytes(32) for image in [*keys.digests(), "f" * 64]}
    path.write_bytes(DataKeys.of(root, strays).to_bytes())
    with pytest.raises(Tampered, match="does not have"):
        check_keys(house.workspace, root)
    path.unlink()
    with pytest.raises(EvidenceMissing, match="not here"):
        check_keys(house.workspace, root)


def test_the_reader_key_is_its_owners_alone(tmp_path: Path) -> None:
    tmp_path.joinpath("keys").mkdir()
    first = reader_key(tmp_path / "keys").private_bytes_raw()
    path = tmp_path / "keys" / "reader.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert reader_key(tmp_path / "keys").private_bytes_raw() == first
    path.chmod(0o644)
    with pytest.raises(Refused, match="mode 0644"):
        reader_key(tmp_path / "keys")
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(Tampered, match="X25519"):
        reader_key(tmp_path / "keys")
