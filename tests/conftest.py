"""What every test may ask for."""

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import postgres_server
import pytest


@pytest.fixture(scope="session", autouse=True)
def remembered_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered of a workspace stands in the user's home; tests have one of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRAMANA_STATE", str(tmp_path_factory.mktemp("state")))
        patch.delenv("PRAMANA_LEDGER", raising=False)
        yield


@pytest.fixture
def shared() -> Path:
    """The reference data that stands beside the checkout in CI; a clone elsewhere has none."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the reference data folder ../shared/data is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[int, str]]:
    """Run tests/foreign/c2sp/reader.go, built here: exit status, and what it says."""
    found, libraries = shutil.which("go"), Path("/usr/share/gocode")  # Debian's place for source
    if found is None or not (libraries / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("Go is not here: apt-get install golang-go golang-golang-x-mod-dev")
    folder, source = tmp_path_factory.mktemp("go"), Path(__file__).parent / "foreign/c2sp/reader.go"
    here = {"GO111MODULE": "off", "GOPATH": str(libraries), "GOCACHE": str(folder / "cache")}
    build = [found, "build", "-o", folder / "reader", source]
    subprocess.run(build, env={**os.environ, **here}, check=True)

    def run(*arguments: object) -> tuple[int, str]:
        command = [folder / "reader", *map(str, arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout + ended.stderr

    return run


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
