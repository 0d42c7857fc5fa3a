"""Go's own transparency-log code proves each act of a bundle, and refuses a forged one."""

from collections.abc import Callable
from pathlib import Path

import pytest

Go = Callable[..., tuple[int, str]]


def _vkeys(bundle: Path) -> list[str]:
    found = [path.read_text().strip() for path in sorted((bundle / "keys").glob("*.vkey"))]
    assert found
    return found


def _acts(bundle: Path) -> list[Path]:
    found = sorted((bundle / "ledger").glob("*.tlog-proof"))
    assert found
    return found


def test_go_proves_every_act_of_a_bundle(bundle: Path, go: Go) -> None:
    for proof in _acts(bundle):
        assert go("proof", proof, proof.with_suffix(".leaf"), *_vkeys(bundle)) == (0, "")


@pytest.mark.parametrize("what", [".leaf", ".tlog-proof"])
def test_go_refuses_every_act_that_was_forged(bundle: Path, go: Go, what: str) -> None:
    for proof in _acts(bundle):
        forged = proof.with_suffix(what)
        data = bytearray(forged.read_bytes())
        data[-20] ^= 1  # in a proof, the signature
        forged.write_bytes(bytes(data))
        status, said = go("proof", proof, proof.with_suffix(".leaf"), *_vkeys(bundle))
        assert (status, bool(said)) == (1, True)
