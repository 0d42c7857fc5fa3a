"""Ledgers, and where they may lie: an SQLite file, a PostgreSQL server started for these tests."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import postgres_server
import pytest

from governance.database import file_url
from governance.keys import Keyring
from governance.ledger import Ledger
from office import granted_one, office, peoples_keys  # noqa: F401  fixtures


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a place that holds no ledger yet, in each database in turn."""
    if request.param == "sqlite":
        return file_url(tmp_path / "ledger.db")
    return request.getfixturevalue("new_schema")()


@pytest.fixture
def other_url(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """An empty place in the other database than `url`."""
    if url.startswith("postgresql"):
        return file_url(tmp_path / "other.db")
    return request.getfixturevalue("new_schema")()


@pytest.fixture
def ledger_at(tmp_path: Path) -> Callable[[str], Ledger]:
    """Gives the ledger at a URL, under the keys of this test, on one morning."""
    keyring = Keyring(tmp_path / "keys")
    trust, signer = keyring.trust(), keyring.signer("log")
    keys, once = tuple(trust.ever("log")), datetime(2026, 11, 23, 9, 30, 17, 123456, tzinfo=UTC)
    return lambda url: Ledger(url, trust.origin, keys, lambda: signer, lambda: once)


@pytest.fixture
def ledger(ledger_at: Callable[[str], Ledger], url: str) -> Ledger:
    """An empty ledger, in each database in turn."""
    return ledger_at(url)


@pytest.fixture
def fill() -> Callable[[Ledger], Ledger]:
    """Fills a ledger: four acts of a head each, three under one, a clearance, a cosignature."""

    def filled(ledger: Ledger) -> Ledger:
        for number in range(4):
            ledger.append("test", {"number": number})
        ledger.append_many(("batch", {"number": number}) for number in range(3))
        ledger.spend("c" * 64, "run")
        ledger.add_cosignature(7, "witness", "\u2014 witness c2lnbmF0dXJl")
        return ledger

    return filled


@pytest.fixture
def filled(fill: Callable[[Ledger], Ledger], ledger: Ledger) -> Ledger:
    """A ledger with a row in each of its own tables."""
    return fill(ledger)


@pytest.fixture(scope="session")
def new_schema(postgres: str) -> Callable[[], str]:
    """Makes empty schemas on the server, whose sessions begin with the default that hurts most."""
    numbers, settings = itertools.count(), "-cdefault_transaction_isolation=serializable"
    return lambda: postgres_server.new_schema(postgres, f"ledger_{next(numbers)}", settings)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that was started for these tests."""
    with contextlib.ExitStack() as stack:
        careless = ["synchronous_commit=off"]  # as an administrator may have set it
        try:
            url = stack.enter_context(postgres_server.serving(careless))
        except postgres_server.Absent as reason:
            pytest.skip(str(reason))
        yield url
