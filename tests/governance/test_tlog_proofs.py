"""tlog-proofs and tiles: an act is proved by one text file, a whole ledger by a folder of files."""

import base64
import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.signers.keys import Keyring
from governance.signers.trust import Trust, TrustedKey
from governance.trail import tiles
from governance.trail.ledger import Ledger
from governance.trail.note import cosignature, with_lines
from governance.trail.proofs import HEADER, Proof, ProofFile, check_proof, covering, write_proof
from governance.trail.witness import accept, witness_name

SIZE = 600  # two full tiles, one partial, and a second level


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, Trust, CryptoSigner]:
    """A ledger of 600 acts, its trust file with one witness, and the witness's key."""
    folder = tmp_path_factory.mktemp("house")
    keyring, witness = Keyring(folder / "keys"), CryptoSigner.generate_ed25519()
    key = TrustedKey(role="witness", person="asha", public=witness.public_key)
    trust = keyring.trust().with_key(key)
    ledger = Ledger(
        f"sqlite:///{folder / 'ledger.db'}", trust.origin, tuple(trust.of("log")),
        lambda: keyring.signer("log"),
    )  # fmt: skip
    ledger.append_many([("test", {"number": number}) for number in range(SIZE - 1)])
    note = ledger.note()
    name = witness_name(witness.public_key)
    accept(ledger, trust, with_lines(note, [cosignature(note, witness, name=name, at=1234)]))
    ledger.append("last", {})
    return ledger, trust, witness


House = tuple[Ledger, Trust, CryptoSigner]


@pytest.mark.parametrize("act", [0, 1, 255, 256, 511, 512, 598, 599])
def test_an_act_is_proved_with_its_leaf_and_the_keys_alone(house: House, act: int) -> None:
    ledger, trust, _ = house
    text = write_proof(ledger, act)
    proved = check_proof(text.encode(), ledger.leaf(act), trust)
    assert proved == Proof(index=act, size=SIZE, witnesses=())
    assert ProofFile.parse(text).text() == text
    assert text.startswith(f"{HEADER}\nindex {act}\n")


def test_a_proof_at_a_cosigned_checkpoint_says_who_saw_it_and_when(house: House) -> None:
    ledger, trust, _ = house
    production = replace(trust, witnesses=1)
    assert (covering(ledger, 7, 0), covering(ledger, 7, 1)) == (SIZE, SIZE - 1)
    text = write_proof(ledger, 7, size=covering(ledger, 7, 1))
    proved = check_proof(text, ledger.leaf(7), production)
    assert proved == Proof(index=7, size=SIZE - 1, witnesses=(("asha", 1234),))
    with pytest.raises(EvidenceMissing, match="0 witness"):
        check_proof(write_proof(ledger, 7), ledger.leaf(7), production)
    with pytest.raises(EvidenceMissing, match="No checkpoint over act 599"):
        covering(ledger, 599, 1)
    with pytest.raises(EvidenceMissing):
        covering(ledger, 7, 2)


def test_an_act_that_is_not_under_a_checkpoint_is_not_proved(house: House) -> None:
    ledger, _, _ = house
    for act, size in ((SIZE, None), (SIZE - 1, SIZE - 1), (-1, None), (0, 77)):
        with pytest.raises(EvidenceMissing):
            write_proof(ledger, act, size=size)


def test_an_empty_ledger_proves_nothing(house: House, tmp_path: Path) -> None:
    empty = replace(house[0], url=f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(EvidenceMissing, match="empty"):
        write_proof(empty, 0)
    with pytest.raises(EvidenceMissing, match="empty"):
        tiles.export(empty, tmp_path / "out")


def test_extra_data_is_kept_and_vouched_for_by_nobody(house: House) -> None:
    ledger, trust, _ = house
    parsed = ProofFile.parse(write_proof(ledger, 3))
    with_extra = replace(parsed, extra=b"whatever")
    assert with_extra.text().splitlines()[1] == "extra d2hhdGV2ZXI="
    assert ProofFile.parse(with_extra.text()) == with_extra
    assert check_proof(with_extra.text(), ledger.leaf(3), trust).index == 3


Edit = Callable[[list[str]], list[str]]
HASH = base64.b64encode(bytes(32)).decode()
MALFORMED: dict[str, Edit] = {
    "another header": lambda lines: ["c2sp.org/tlog-proof@v2", *lines[1:]],
    "no index": lambda lines: [lines[0], *lines[2:]],
    "index twice": lambda lines: [*lines[:2], *lines[1:]],
    "an index with a zero before it": lambda lines: [lines[0], "index 03", *lines[2:]],
    "a negative index": lambda lines: [lines[0], "index -3", *lines[2:]],
    "an index without a number": lambda lines: [lines[0], "index ", *lines[2:]],
    "extra after the index": lambda lines: [*lines[:2], "extra AAAA", *lines[2:]],
    "extra that is no base64": lambda lines: [lines[0], "extra !!", *lines[1:]],
    "extra without data": lambda lines: [lines[0], "extra ", *lines[1:]],
    "a short hash": lambda lines: [*lines[:2], "AAAA", *lines[3:]],
    "sixty-four hashes": lambda lines: [*lines[:2], *[HASH] * 64, *lines[lines.index("") :]],
    "Windows line ends": lambda lines: [f"{line}\r" for line in lines],
    "no checkpoint": lambda lines: lines[: lines.index("") + 1],
    "cut off after the hashes": lambda lines: lines[: lines.index("")],
    "no empty line": lambda lines: [line for line in lines if line],
    "nothing": lambda _: [],
}
WRONG: dict[str, Edit] = {
    "another index": lambda lines: [lines[0], "index 2", *lines[2:]],
    "an index outside the tree": lambda lines: [lines[0], "index 600", *lines[2:]],
    "another hash": lambda lines: [*lines[:2], HASH, *lines[3:]],
    "a hash left out": lambda lines: [*lines[:2], *lines[3:]],
    "a hash too many": lambda lines: [*lines[:2], HASH, *lines[2:]],
    "hashes in another order": lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
    "another root": lambda lines: [HASH if at == -4 else line for at, line in _from_end(lines)],
}


def _from_end(lines: list[str]) -> list[tuple[int, str]]:
    return [(at - len(lines), line) for at, line in enumerate(lines)]


@pytest.mark.parametrize("edit", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_proof_is_not_read(house: House, edit: Edit) -> None:
    with pytest.raises(Tampered):
        ProofFile.parse("\n".join(edit(write_proof(house[0], 3).split("\n"))))


@pytest.mark.parametrize("edit", WRONG.values(), ids=WRONG.keys())
def test_an_edited_proof_proves_nothing(house: House, edit: Edit) -> None:
    ledger, trust, _ = house
    lines = write_proof(ledger, 3).split("\n")
    assert edit(lines) != lines
    ProofFile.parse("\n".join(edit(lines)))
    with pytest.raises(Tampered):
        check_proof("\n".join(edit(lines)), ledger.leaf(3), trust)


def test_a_forged_act_a_strange_log_and_another_ledger_are_refused(house: House) -> None:
    ledger, trust, _ = house
    text = write_proof(ledger, 3)
    with pytest.raises(Tampered, match="Leaf 3 is not in the tree"):
        check_proof(text, ledger.leaf(4), trust)
    with pytest.raises(Tampered, match=r"one of example\.org is wanted"):
        check_proof(text, ledger.leaf(3), replace(trust, origin="example.org"))
    stranger = TrustedKey(role="log", public=CryptoSigner.generate_ed25519().public_key)
    others = tuple(key for key in trust.keys if key.role != "log")
    with pytest.raises(Tampered, match="no signature of a log key"):
        check_proof(text, ledger.leaf(3), replace(trust, keys=(*others, stranger)))


def _edited(ledger: Ledger, folder: Path) -> Ledger:
    """A copy of a ledger in whose file somebody edited act 3."""
    shutil.copy(ledger.url.removeprefix("sqlite:///"), folder / "edited.db")
    with contextlib.closing(sqlite3.connect(folder / "edited.db")) as database, database:
        database.execute("DROP TRIGGER entries_no_update")
        database.execute("UPDATE entries SET leaf = CAST(leaf || ' ' AS BLOB) WHERE number = 3")
    return replace(ledger, url=f"sqlite:///{folder / 'edited.db'}")


def test_of_an_edited_ledger_nothing_edited_is_proved_and_nothing_exported(
    house: House, tmp_path: Path
) -> None:
    edited = _edited(house[0], tmp_path)
    with pytest.raises(Tampered, match="Leaf 3 is not in the tree"):
        write_proof(edited, 3)
    with pytest.raises(Tampered, match="not those the newest checkpoint was signed for"):
        tiles.export(edited, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("index", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (0, 1, "tile/0/000.p/1"),
        (999, 256, "tile/0/999"),
        (1000, 256, "tile/0/x001/000"),
        (1234067, 256, "tile/0/x001/x234/067"),
        (1234067, 17, "tile/0/x001/x234/067.p/17"),
    ],
)
def test_a_tile_stands_where_the_specification_puts_it(index: int, width: int, path: str) -> None:
    assert tiles.tile_path("0", index, width) == path


def test_a_tree_of_70000_has_the_tiles_that_the_specification_counts() -> None:
    found = [path for path, _ in tiles.tiles(lambda level, index: bytes(32), 70_000)]
    assert len([path for path in found if path.startswith("tile/0/") and ".p/" not in path]) == 273
    assert found[273:] == ["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]
    of_256 = [path for path, _ in tiles.tiles(lambda level, index: bytes(32), 256)]
    assert of_256 == ["tile/0/000", "tile/1/000.p/1"]


def test_an_exported_ledger_is_read_back_as_the_tree_it_was(house: House, tmp_path: Path) -> None:
    ledger, _, _ = house
    checkpoint = tiles.export(ledger, tmp_path / "public")
    note, tree = tiles.read_mirror(tmp_path / "public")
    assert note == ledger.note()
    assert (tree.size, tree.root()) == (checkpoint.size, checkpoint.root)
    files = {p.relative_to(tmp_path / "public").as_posix() for p in tmp_path.rglob("*.p/*")}
    assert files == {"tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/002.p/88"}
    with pytest.raises(UsageError, match="holds files already"):
        tiles.export(ledger, tmp_path / "public")


@pytest.mark.parametrize(
    "name", ["checkpoint", "tile/0/000", "tile/1/000.p/2", "tile/entries/001", "tile/0/002.p/88"]
)
def test_a_mirror_with_any_file_changed_or_gone_is_refused(
    house: House, tmp_path: Path, name: str
) -> None:
    tiles.export(house[0], tmp_path / "public")
    path = tmp_path / "public" / name
    whole = path.read_bytes()
    flipped = bytes(byte ^ (at == 50) for at, byte in enumerate(whole))  # a character of the root
    for changed in (flipped, whole + b"more", whole[:-1]):
        path.write_bytes(changed)
        with pytest.raises(Tampered):
            tiles.read_mirror(tmp_path / "public")
    path.unlink()
    with pytest.raises(EvidenceMissing, match="is missing"):
        tiles.read_mirror(tmp_path / "public")


def test_an_entry_too_long_for_a_bundle_is_told_before_anything_is_written(
    house: House, tmp_path: Path
) -> None:
    long = replace(house[0], url=f"sqlite:///{tmp_path / 'long.db'}")
    long.append("test", {"text": "x" * 66_000})
    with pytest.raises(UsageError, match="65535 at most"):
        tiles.export(long, tmp_path / "out")
    assert not (tmp_path / "out").exists()
