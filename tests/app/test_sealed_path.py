"""The path with --sealed: audited, trained on and verified, and no picture lies about in plain."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import IterableDataset
from PIL import Image, UnidentifiedImageError

from app import planted
from audits.engine import measure
from audits.locality import LocalityAudit
from audits.personal import PersonalAudit
from audits.reading.ingest import ingest
from governance.canon import sha256
from governance.errors import EvidenceMissing
from governance.sealing.release import PACKAGE_FILE, erase, unlocked
from governance.sealing.sealed import NewKeys, erase_keys
from governance.snapshot import Snapshot
from governance.workspace import Workspace
from made import folder_of, parquet_of, png

PRAMANA = [sys.executable, "-P", "-m", "app"]
AUDITS = (PersonalAudit(), LocalityAudit())
BUDGET_S = 45.0


def _pramana(*arguments: object, status: int = 0) -> str:
    command = [*PRAMANA, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stderr
    return ended.stdout + ended.stderr


def _sealed(workspace: Workspace, source: Path) -> Snapshot:
    keys = NewKeys(workspace.data_keys)
    return ingest([str(source)], snapshots=workspace.snapshots, keys=keys)


def _lying_about(folder: Path, pictures: list[bytes]) -> list[str]:
    """Return the files below a folder in which a picture stands in plain."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(p) for p in files if any(picture in p.read_bytes() for picture in pictures)]


def _decoded(cell: object) -> None:
    Image.open(io.BytesIO(cell)).load()  # type: ignore[arg-type]


def test_parquet_is_not_registered_in_place_and_keeps_its_root(tmp_path: Path) -> None:
    source = parquet_of(tmp_path / "set.parquet", id=["x", "y", "z"])
    workspace = Workspace.at(tmp_path / "w")
    snapshot = _sealed(workspace, source)
    assert [shard.path for shard in snapshot.shards] == ["shards/shard-00000.parquet"]
    assert snapshot.encrypted
    assert snapshot.root == ingest([str(source)], snapshots=tmp_path / "plain").root
    assert not _lying_about(workspace.folder, [png(0), png(1), png(2)])


def test_stock_tools_get_no_picture_out_of_an_encrypted_shard(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path / "w")
    snapshot = _sealed(workspace, parquet_of(tmp_path / "set.parquet"))
    path = str(snapshot.shard_path(0))
    cells = pq.read_table(path).column(0).to_pylist()
    rows = list(IterableDataset.from_parquet(path, cache_dir=str(tmp_path / "cache")))
    assert len(cells) == len(rows) == 3
    for cell in [*cells, *(row["ciphertext"] for row in rows)]:
        with pytest.raises(UnidentifiedImageError), warnings.catch_warnings():
            _decoded(cell)
    with pytest.raises(EvidenceMissing, match="no keys are at hand"):
        next(snapshot.open_shard(0).images([0], [sha256(png(0))]))


def test_a_sample_without_a_picture_is_sealed_like_any_other(tmp_path: Path) -> None:
    records = [{"file_name": "a.png", "text": "x"}, {"file_name": "gone.png", "text": "y"}]
    workspace = Workspace.at(tmp_path / "w")
    source = folder_of(tmp_path / "set", records, pictures=("a.png",))
    snapshot = unlocked(workspace, _sealed(workspace, source))
    rows = sorted(snapshot.manifest().to_pylist(), key=lambda row: row["row"])
    digests = [row["sha256"] for row in rows]
    assert list(snapshot.open_shard(0).images([0, 1], digests, snapshot.keys)) == [png(0), b""]


def _measured(snapshot: Snapshot, folder: Path) -> dict[str, str]:
    parts: dict[str, str] = {}
    measure(
        snapshot, AUDITS, folder=folder, recorded={}, record=parts.__setitem__, workers=1
    )  # fmt: skip
    return parts


def test_audits_measure_the_same_whether_it_is_encrypted_or_not(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "set", "", pictures=[f"{n}.png" for n in range(5)])
    (source / "metadata.jsonl").unlink()
    workspace = Workspace.at(tmp_path / "w")
    plain = ingest([str(source)], snapshots=tmp_path / "plain")
    snapshot = unlocked(workspace, _sealed(workspace, source))
    assert _measured(snapshot, tmp_path / "a") == _measured(plain, tmp_path / "b")


def test_an_audit_without_the_keys_or_of_an_erased_picture_stops(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path / "w")
    snapshot = _sealed(workspace, parquet_of(tmp_path / "set.parquet"))
    with pytest.raises(EvidenceMissing, match="no keys are at hand"):
        _measured(snapshot, tmp_path / "a")
    erase_keys(workspace.data_keys, snapshot.root, [sha256(png(1))])
    with pytest.raises(EvidenceMissing, match="its key was erased"):
        _measured(unlocked(workspace, snapshot), tmp_path / "a")


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A workspace beside forty scenes."""
    planted.write(tmp_path / "scenes", list(planted.scenes(40, seed=3)))
    (tmp_path / "pramana.toml").write_text('operator = "a test"\ncompute_region = "IN"\n')
    return tmp_path


def _table(folder: Path) -> Path:
    (path,) = (folder / ".pramana" / "keys" / "data").glob("*.keys")
    return path


def _audit(folder: Path, *options: str, status: int = 0) -> str:
    return _pramana("--workspace", folder, "audit", folder / "scenes", *options, status=status)


@pytest.mark.slow
def test_plain_pictures_are_not_left_where_sealed_ones_were_asked_for(drawn: Path) -> None:
    _audit(drawn)
    assert "lie here in plain" in _audit(drawn, "--sealed", status=3)


@pytest.mark.slow
def test_what_is_sealed_stays_so_and_needs_its_keys(drawn: Path) -> None:
    assert "stays in plain where it was" in _audit(drawn, "--sealed")
    _audit(drawn)
    pictures = [path.read_bytes() for path in (drawn / "scenes").glob("*.png")]
    assert len(pictures) == 40
    assert not _lying_about(drawn / ".pramana", pictures)
    assert "with the keys of all that was not erased" in _pramana("verify", drawn)
    table = _table(drawn)
    table.chmod(0o644)
    assert "can be read by others" in _audit(drawn, status=3)
    table.chmod(0o600)
    data = table.read_bytes()
    table.write_bytes(data[:-1])
    assert "cut or edited" in _audit(drawn, status=4)
    table.unlink()
    assert "none of its pictures can be read" in _audit(drawn, status=5)
    assert "✕" in _pramana("verify", drawn, status=5)
    assert "none of its pictures can be read" in _pramana(
        "--workspace", drawn, "train", "--minutes", "0.5", status=5
    )


@pytest.mark.slow
def test_a_plain_copy_put_in_the_place_of_an_encrypted_snapshot_is_noticed(drawn: Path) -> None:
    _audit(drawn, "--sealed")
    place = Workspace(drawn).snapshots
    plain = ingest([str(drawn / "scenes")], snapshots=drawn / "plain")
    (place / plain.root).rename(drawn / "away")
    plain.folder.rename(place / plain.root)
    assert "was encrypted and lies here in plain" in _pramana("verify", drawn, status=4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which scenes were audited with --sealed, some excluded, and trained on."""
    folder = tmp_path_factory.mktemp("sealed")
    scenes = list(planted.scenes(200, seed=3))
    refused = [replace(row, license="CC-BY-NC-4.0") for row in scenes[:7]]
    planted.write(folder / "scenes", [*refused, *scenes[7:]])
    (folder / "pramana.toml").write_text('operator = "a test"\ncompute_region = "IN"\n')
    _audit(folder, "--sealed")
    _pramana("--workspace", folder, "train", "--minutes", BUDGET_S / 60)
    return folder


pytest_group = pytest.mark.xdist_group("sealed-path")


@pytest.mark.slow
@pytest_group
def test_a_run_got_the_keys_of_what_was_cleared_and_gave_them_back(trained: Path) -> None:
    workspace = Workspace(trained)
    decision = workspace.latest_decision()
    assert (decision.cleared, decision.excluded) == (193, 7)
    (released,) = workspace.ledger.entries("keys.released")
    assert released.body["keys"] == len(set(workspace.cleared(decision)["sha256"].to_pylist()))
    (run,) = workspace.runs.iterdir()
    assert not (run / PACKAGE_FILE).exists()
    pictures = [path.read_bytes() for path in (trained / "scenes").glob("*.png")]
    assert not _lying_about(trained / ".pramana", pictures)


@pytest.mark.slow
@pytest_group
def test_the_workspace_and_the_card_of_a_sealed_run_verify(trained: Path, tmp_path: Path) -> None:
    _pramana("--workspace", trained, "card", "latest", "--out", tmp_path / "card")
    trust = trained / ".pramana" / "keys" / "trust.json"
    assert "✕" not in _pramana("verify", tmp_path / "card", "--trust", trust)
    assert "✕" not in _pramana("verify", trained)


@pytest.mark.slow
@pytest_group
def test_a_run_cut_off_is_not_resumed_once_a_picture_it_reads_was_erased(
    trained: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(trained, tmp_path / "copy")
    workspace = Workspace(folder)
    train = ["--workspace", str(folder), "train", "--minutes", "1.5"]
    before = len(workspace.ledger.entries("run.checkpoint"))
    child = subprocess.Popen([*PRAMANA, *train], stderr=subprocess.DEVNULL)
    while len(workspace.ledger.entries("run.checkpoint")) == before:
        assert child.poll() is None, "the run ended before it could be stopped"
        time.sleep(0.2)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() == 1
    (package,) = workspace.runs.glob(f"*/{PACKAGE_FILE}")
    decision = workspace.latest_decision()
    image = workspace.cleared(decision)["sha256"][0].as_py()
    erase(workspace, decision.snapshot, [image])
    assert not package.exists()
    assert "release (5)" in _pramana(*train, status=5)
    root = decision.snapshot[:12]
    assert f"✓ snapshot {root}: encrypted" in _pramana("verify", folder, status=5)
