"""Ledgers in each place where one may lie: an SQLite file, a PostgreSQL server."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from governance.signers.keys import Keyring
from governance.trail.database import file_url
from governance.trail.ledger import Ledger
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
