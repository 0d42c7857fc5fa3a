"""Several processes on one ledger, some of them killed: nothing lost, nothing doubled."""

import contextlib
import multiprocessing
import random
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from governance.signers.keys import Keyring
from governance.trail.ledger import Ledger

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["governance.trail.ledger", "governance.signers.keys", "pytest"])


def test_a_second_writer_waits_for_the_first(ledger: Ledger) -> None:
    ledger.append("test", {})
    second = threading.Thread(target=ledger.append, args=("test", {}))
    with ledger.writing():
        second.start()
        second.join(0.3)
        assert second.is_alive()
        assert ledger.size() == 1  # and a reader waits for nobody
    second.join()
    assert ledger.verify().size == 2


def _tell(url: str, keys: Path, who: int, count: int, told: Connection | None = None) -> None:
    """Append acts with their rows, as a process of its own, and tell of each that is done."""
    keyring = Keyring(keys)
    trust, signer = keyring.trust(), keyring.signer("log")
    ledger = Ledger(url, trust.origin, tuple(trust.ever("log")), lambda: signer)
    for number in range(count):
        ledger.spend(f"{who}-{number}", f"run {who}-{number}")
        if told is not None:
            told.send(f"{who}-{number}")


@pytest.mark.slow
def test_four_processes_lose_and_double_nothing(ledger: Ledger, tmp_path: Path) -> None:
    started = [
        processes.Process(target=_tell, args=(ledger.url, tmp_path / "keys", who, 250))
        for who in range(4)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
        assert process.exitcode == 0
    assert ledger.verify().size == 1000
    assert set(ledger.spent()) == {f"{who}-{number}" for who in range(4) for number in range(250)}


@pytest.mark.slow
def test_killing_the_writer_75_times_loses_nothing_it_told_of(
    ledger: Ledger, tmp_path: Path
) -> None:
    chance, told = random.Random(75), set()  # noqa: S311  no secret
    for who in range(75):
        reader, writer = processes.Pipe(duplex=False)
        arguments = (ledger.url, tmp_path / "keys", who, 10**6, writer)
        process = processes.Process(target=_tell, args=arguments)
        process.start()
        writer.close()
        told.update(reader.recv() for _ in range(chance.randint(1, 6)))
        time.sleep(chance.uniform(0, 0.01))  # an act takes two to ten thousandths of a second
        process.kill()
        process.join()
        with contextlib.suppress(EOFError):
            while True:
                told.add(reader.recv())
        reader.close()
    size = ledger.verify().size
    assert told <= set(ledger.spent())
    assert len(ledger.spent()) == len(ledger.entries()) == size >= 75
