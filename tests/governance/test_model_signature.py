"""Model signatures: the OpenSSF format, held by us and by the `model_signing` command."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from governance.canon import canonical
from governance.cards.model_signature import (
    MODEL_SIGNING,
    SIGNATURE_FILE,
    check_model,
    model_digests,
    sign_model,
)
from governance.errors import Refused, Tampered
from governance.statements import SVR, payload_of, read_statement, sign, statement

FOREIGN = Path(__file__).parents[1] / "foreign" / ".model_signing" / "bin" / "model_signing"
IGNORED = {SIGNATURE_FILE, "README.md", "evidence"}


@pytest.fixture
def signer() -> CryptoSigner:
    return CryptoSigner.generate_ecdsa()


@pytest.fixture
def model(tmp_path: Path, signer: CryptoSigner) -> Path:
    """A signed model with a card and evidence beside it."""
    folder = tmp_path / "model"
    for name in ("config.json", "unet/weights.safetensors", "evidence/a.json", "README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 100)
    signature = sign_model(folder, signer, name="run-1", ignored=IGNORED)
    (folder / SIGNATURE_FILE).write_bytes(signature)
    return folder


def _check(model: Path, signer: CryptoSigner) -> frozenset[str]:
    return check_model(model, (model / SIGNATURE_FILE).read_bytes(), [signer.public_key])


def test_a_signed_model_holds_and_the_signature_says_what_it_ignores(
    model: Path, signer: CryptoSigner
) -> None:
    assert _check(model, signer) == IGNORED
    _, predicate = read_statement(payload_of((model / SIGNATURE_FILE).read_bytes()), MODEL_SIGNING)
    assert set(predicate["serialization"]["ignore_paths"]) == IGNORED
    assert [row["name"] for row in predicate["resources"]] == [
        "config.json",
        "unet/weights.safetensors",
    ]


def test_the_same_model_has_the_same_statement(model: Path, signer: CryptoSigner) -> None:
    again = sign_model(model, signer, name="run-1", ignored=IGNORED)
    assert payload_of(again) == payload_of((model / SIGNATURE_FILE).read_bytes())


def _flip(model: Path) -> None:
    path = model / "unet" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")


ATTACKS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a file edited": (r"model \(5\): unet/weights", _flip),
    "a file gone": (r"model \(3\): config.json is gone", lambda m: (m / "config.json").unlink()),
    "a file added": (r"model \(4\): extra.bin was", lambda m: (m / "extra.bin").write_text("x")),
    "a file added where git keeps its own": (
        r"model \(4\): .gitignore was added",
        lambda m: (m / ".gitignore").write_text("x"),
    ),
    "a link": ("no regular file", lambda m: (m / "link").symlink_to("config.json")),
    "a link among what is ignored": (
        "no regular file",
        lambda m: (m / "evidence" / "link").symlink_to("a.json"),
    ),
}


@pytest.mark.parametrize(("message", "attack"), ATTACKS.values(), ids=ATTACKS.keys())
def test_a_model_that_is_not_the_one_signed_is_refused(
    model: Path, signer: CryptoSigner, message: str, attack: Callable[[Path], object]
) -> None:
    attack(model)
    with pytest.raises(Tampered, match=message):
        _check(model, signer)


def test_what_is_ignored_may_change(model: Path, signer: CryptoSigner) -> None:
    (model / "evidence" / "more.json").write_text("{}")
    assert _check(model, signer) == IGNORED


def test_another_key_does_not_count(model: Path) -> None:
    with pytest.raises(Refused):
        _check(model, CryptoSigner.generate_ecdsa())


def _resigned(model: Path, signer: CryptoSigner, **changed: object) -> bytes:
    """Sign the same statement with some of its parts changed, as the key's holder could."""
    found = json.loads(payload_of((model / SIGNATURE_FILE).read_bytes()))
    for part, value in changed.items():
        place = found["predicate"]["serialization"] if part == "method" else found["predicate"]
        place[part] = value
    return sign(canonical(found), signer)


ROW = {"name": "config.json", "algorithm": "sha256", "digest": "00" * 32}
STATEMENTS: dict[str, tuple[str, dict[str, object]]] = {
    "another list than was summed up": (r"model \(2\)", {"resources": [ROW]}),
    "another way of listing": ("another way", {"method": "shards"}),
    "another hash": ("another way", {"resources": [{**ROW, "algorithm": "blake2b"}]}),
    "a name twice": ("another way", {"resources": [ROW, ROW]}),
    "no hex": ("no SHA-256", {"resources": [{**ROW, "digest": "zz"}]}),
    "no list": ("lacks or adds", {"resources": None}),
}


@pytest.mark.parametrize(("message", "changed"), STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_statement_of_another_shape_is_refused(
    model: Path, signer: CryptoSigner, message: str, changed: dict[str, object]
) -> None:
    with pytest.raises(Tampered, match=message):
        check_model(model, _resigned(model, signer, **changed), [signer.public_key])


def test_a_statement_of_another_kind_is_no_model_signature(
    model: Path, signer: CryptoSigner
) -> None:
    other = sign(statement(SVR, subjects={"x": "00" * 32}, predicate={}), signer)
    with pytest.raises(Tampered, match=MODEL_SIGNING):
        check_model(model, other, [signer.public_key])


def test_a_file_is_hashed_by_whoever_was_asked_to(model: Path) -> None:
    assert set(model_digests(model, IGNORED, lambda path: path.name).values()) == {
        "config.json",
        "weights.safetensors",
    }


@pytest.mark.skipif(not FOREIGN.is_file(), reason="model_signing is not installed (see .ci/run)")
@pytest.mark.parametrize(
    ("said", "attack"),
    [
        ("Verification succeeded", lambda model: None),
        ("Hash mismatch", _flip),
        ("Missing files", lambda model: (model / "config.json").unlink()),
        ("Extra files", lambda model: (model / "extra.bin").write_text("x")),
    ],
    ids=["as signed", "edited", "missing", "added"],
)
def test_the_command_of_the_openssf_says_the_same(
    model: Path, signer: CryptoSigner, tmp_path: Path, said: str, attack: Callable[[Path], object]
) -> None:
    attack(model)
    public = tmp_path / "release.pub"
    public.write_text(signer.public_key.keyval["public"])
    command = shutil.which("unshare") and ["unshare", "-rn", "true"]
    offline = command and subprocess.run(command, check=False).returncode == 0
    ended = subprocess.run(
        [
            *(["unshare", "-rn"] if offline else []),
            str(FOREIGN), "verify", "key", str(model),
            "--signature", str(model / SIGNATURE_FILE), "--public_key", str(public),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said in ended.stdout + ended.stderr
    assert (ended.returncode == 0) == (said == "Verification succeeded")
