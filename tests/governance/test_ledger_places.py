"""Where a ledger may lie, and what is said when it may not, or cannot be reached."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from governance.errors import PramanaError, Tampered, UsageError
from governance.trail import database
from governance.trail.database import Database, check_local, file_url
from governance.trail.ledger import Ledger

SECRET = "hunter2-%2F@:"  # noqa: S105  nobody's


@pytest.mark.parametrize(
    "url",
    ["", "ledger.db", "sqlite://", "sqlite:///:memory:", "mysql://host/name", "http://[", "sqlite+x://"],
)  # fmt: skip
def test_a_ledger_lies_in_a_file_or_in_postgresql_only(url: str) -> None:
    with pytest.raises(UsageError, match=r"Give sqlite:////folder/ledger\.db or postgresql://"):
        Database.at(url)


@pytest.mark.parametrize("name", ["a b", "50%25", "what?x=1", "a#b", "é", "a@b:c"])
def test_any_folder_name_is_kept_in_the_url(
    tmp_path: Path, ledger_at: Callable[[str], Ledger], name: str
) -> None:
    path = tmp_path / name / "ledger.db"
    ledger_at(file_url(path)).append("test", {})
    assert path.is_file()


def test_a_damaged_file_is_called_damaged(
    tmp_path: Path, ledger_at: Callable[[str], Ledger]
) -> None:
    ledger = ledger_at(file_url(tmp_path / "ledger.db"))
    ledger.append("test", {})
    (tmp_path / "ledger.db").write_bytes(b"not a database at all" * 500)
    (tmp_path / "ledger.db-wal").unlink(missing_ok=True)
    with pytest.raises(Tampered, match="is damaged: file is not a database"):
        ledger.verify()


def test_a_place_that_cannot_be_written_is_a_fault(
    tmp_path: Path, ledger_at: Callable[[str], Ledger]
) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(PramanaError, match="could not be read or written: unable to open"):
        ledger_at(file_url(tmp_path / "ledger.db")).append("test", {})


def test_a_server_that_does_not_answer_is_a_fault_and_no_password_is_told(
    ledger_at: Callable[[str], Ledger],
) -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    ledger = ledger_at("postgresql://user:hunter2-%252F%40%3A@127.0.0.1:1/name")
    assert ledger._database.engine.url.password == SECRET  # noqa: SLF001  else nothing is shown
    with pytest.raises(PramanaError, match="could not be read or written: connection ") as told:
        ledger.append("test", {})
    for text in (str(told.value), repr(ledger), str(ledger), repr(ledger._database)):  # noqa: SLF001
        assert "hunter2" not in text


def test_without_its_driver_postgresql_is_named_with_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from governance.trail.database import Database\n"
        "Database.at('postgresql://host/name')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert "pip install 'pramana[postgres]'" in ended.stderr.splitlines()[-1]


MOUNTS = r"""proc /proc proc rw 0 0
/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw,addr=10.0.0.1 0 0
/dev/vdb /home/local xfs rw 0 0
//server/share /mnt/with\040space cifs rw 0 0
bucket /data fuse.s3fs rw 0 0
overlay /over fuse.fuse-overlayfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/someone/w/l.db", "nfs4"), ("/mnt/with space/l.db", "cifs"),
        ("/data/l.db", "fuse.s3fs"),
    ],
)  # fmt: skip
def test_sqlite_is_refused_on_a_network_file_system(path: str, kind: str) -> None:
    with pytest.raises(UsageError, match=rf"network file system \({kind}\).*postgresql://"):
        check_local(Path(path), MOUNTS)


@pytest.mark.parametrize("path", ["/home/local/l.db", "/srv/l.db", "/over/l.db", "/homes/l.db"])
def test_sqlite_is_taken_on_a_local_one(path: str) -> None:
    check_local(Path(path), MOUNTS)
    check_local(Path(path), "")  # a system that tells nothing


def test_a_ledger_asks_what_its_folder_is_mounted_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path} nfs rw 0 0\n")
    monkeypatch.setattr(database, "MOUNTS", mounts)
    with pytest.raises(UsageError, match="network file system"):
        Database.at(file_url(tmp_path / "ledger.db"))


def test_every_commit_is_flushed_though_an_administrator_turned_that_off(filled: Ledger) -> None:
    with filled.writing() as connection:
        if connection.dialect.name == "postgresql":
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
            level = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
            assert level == "read committed"  # what is read after the lock is what is there
            return
        asked = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
        assert found == ["wal", 2, 1]  # 2 is FULL
