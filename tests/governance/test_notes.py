"""Signed notes to the letter of C2SP: what others signed is read, what breaks a rule is refused."""

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner, SSlibKey

from governance.errors import Tampered, UsageError
from governance.trail import merkle
from governance.trail.note import (
    COSIGNATURE,
    DASH,
    Checkpoint,
    SignedNote,
    VerifierKey,
    cosignature,
    cosigners,
    log_vkey,
    open_note,
    sign_note,
    signers,
    with_lines,
    witness_vkey,
)

ORIGIN = "example.com/behind-the-sofa"

# What others published: c2sp.org/signed-note, Example; golang.org/x/mod sumdb/note tests (two
# signatures); sigsum-go pkg/checkpoint tests (a log, the live checkpoint of Go's checksum database
# of 2024-09-23, and a cosignature whose key's seed is the byte 17 and 31 zeros).
SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = f"""\
This is an example message.

{DASH} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmR\
KuwHjG1Yu72IneyaQM=
"""
SPEC_POEM = f"""\
Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

{DASH} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFS\
QU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
GO_NOTE = f"""\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

{DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZ\
b6KE6RyyBwJnAM=
{DASH} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33\
WWd1RvMc+QQ=
"""
SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_NOTE = f"""\
go.sum database tree
30055305
mXfgRcJ0bG0j3CPdKwgGWtUzBUbX67saZGRmFuJGGsM=

{DASH} sum.golang.org Az3grpgEild5qw7+5dtV13Kf1C2Xurm8q4fhdxvcsDHnqNTaxL2AFjBY+2TyGKevucFcAAlWFJJ\
Yle3EJlDCrQ+y3A8=
"""
SIGSUM_ORIGIN = (
    "sigsum.org/v1/tree/e796172b92befd62d9dc67e41c2f5bc9d3100a3023b20b1ca40288dd1c679e69"
)
SIGSUM_NOTE = f"""\
{SIGSUM_ORIGIN}
10
HA5HAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

{DASH} {SIGSUM_ORIGIN} gJ2ho0n8F8olcerUF1FFdv235A/5as/coWrpLrtE7ovMeP5whgwouYExowG/lTznxu6OUGjjt5\
yJQ6bXtTcf718MqAQ=
"""
COSIGNED = f"""\
example.org/log
10
HA5HAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

{DASH} example.org/log DEADBEEFAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
AAAAAAAAAAAAAAAA=
{DASH} example.org/witness ys8uUAAAAAAAAATSftMzceM8zssdZ9jin9SjwIxzx9iADMf63VqirX2hafol9RsqNqbofI\
z0LVRqHXI2kpEBSki5RTXFtxz1vo9+Cg==
"""
SIGSUM_SEED = bytes([17]) + bytes(31)


def _key(vkey: str) -> SSlibKey:
    return VerifierKey.parse(vkey).key


@pytest.fixture
def log() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@pytest.fixture
def witness() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@pytest.fixture
def checkpoint() -> Checkpoint:
    return Checkpoint(origin=ORIGIN, size=3, root=merkle.root([b"a", b"b", b"c"]))


def test_the_example_of_the_specification_verifies() -> None:
    assert signers(SPEC_NOTE, [_key(SPEC_VKEY)]) == [_key(SPEC_VKEY)]


def test_a_text_may_hold_empty_lines_and_ends_at_the_last_one() -> None:
    found = SignedNote.parse(SPEC_POEM)
    assert found.body.startswith("Ognuno sta solo sul cuor della terra\n")
    assert found.body.endswith("sole:\n\ned è subito sera.\n")
    assert [line.name for line in found.lines] == ["quasimodo.example/salvatore"]
    assert found.text() == SPEC_POEM


def test_a_note_with_two_signatures_is_read_for_either_key_or_both() -> None:
    peter, enoch = _key(PETER), _key(ENOCH)
    assert signers(GO_NOTE, [peter]) == [peter]
    assert signers(GO_NOTE, [enoch]) == [enoch]
    assert signers(GO_NOTE, [peter, enoch]) == [peter, enoch]
    assert signers(GO_NOTE, []) == []


def test_checkpoints_of_logs_in_use_verify_and_are_written_as_they_were_read() -> None:
    found = open_note(SUMDB_NOTE, [_key(SUMDB)])
    assert (found.origin, found.size) == ("go.sum database tree", 30055305)
    assert SUMDB_NOTE.startswith(found.text())
    sigsum = CryptoSigner(Ed25519PrivateKey.from_private_bytes(SIGSUM_SEED))
    found = open_note(SIGSUM_NOTE.encode(), [sigsum.public_key], origin=SIGSUM_ORIGIN)
    assert found == Checkpoint(origin=SIGSUM_ORIGIN, size=10, root=b"\x1c\x0e\x47" + bytes(29))
    assert sign_note(found, sigsum) == SIGSUM_NOTE  # Ed25519 has one signature for one text


def test_a_published_cosignature_verifies_and_is_made_again_to_the_byte() -> None:
    witness = CryptoSigner(Ed25519PrivateKey.from_private_bytes(SIGSUM_SEED))
    assert cosigners(COSIGNED, [witness.public_key]) == [(witness.public_key, 1234)]
    line = cosignature(COSIGNED, witness, name="example.org/witness", at=1234)
    assert line == COSIGNED.splitlines()[-1]


@pytest.mark.parametrize("vkey", [SPEC_VKEY, PETER, ENOCH, SUMDB])
def test_published_verifier_keys_are_printed_as_they_were_read(vkey: str) -> None:
    assert VerifierKey.parse(f"{vkey}\n").text() == vkey


def test_one_key_has_another_hint_as_a_log_and_as_a_witness(log: CryptoSigner) -> None:
    as_log, as_witness = log_vkey(ORIGIN, log.public_key), witness_vkey(ORIGIN, log.public_key)
    assert as_log.split("+")[1] != as_witness.split("+")[1]
    assert VerifierKey.parse(as_witness).kind == COSIGNATURE
    assert VerifierKey.parse(as_log).key == VerifierKey.parse(as_witness).key == log.public_key


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "example.com/foo",
        SPEC_VKEY.replace("530d903a", "530d903b"),
        SPEC_VKEY.replace("530d903a", "530D903A"),
        SPEC_VKEY.replace("example.com/foo", "example.com/bar"),
        SPEC_VKEY[:-4],
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
    ids=[
        "nothing", "a name alone", "another hint", "a hint in capitals", "another name",
        "a key cut short", "a key too long (Go's own test)", "an unknown kind (Go's own test)",
    ],
)  # fmt: skip
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(UsageError):
        VerifierKey.parse(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x07b"])
def test_a_key_cannot_have_a_name_that_a_note_cannot_carry(name: str, log: CryptoSigner) -> None:
    with pytest.raises(UsageError, match="cannot name a key"):
        log_vkey(name, log.public_key)
    with pytest.raises(UsageError, match="cannot name a key"):
        cosignature(SUMDB_NOTE, log, name=name, at=1)
    with pytest.raises(UsageError, match="cannot name a key"):
        sign_note(Checkpoint(origin=name, size=1, root=bytes(32)), log)


def test_a_note_is_signed_by_the_log_and_any_number_of_witnesses(
    log: CryptoSigner, checkpoint: Checkpoint
) -> None:
    note = sign_note(checkpoint, log)
    many = [CryptoSigner.generate_ed25519() for _ in range(16)]  # as many as a reader must take
    lines = [cosignature(note, w, name=f"w/{i}", at=100 + i) for i, w in enumerate(many)]
    whole = with_lines(note, lines)
    assert open_note(whole, [log.public_key], origin=ORIGIN) == checkpoint
    assert cosigners(whole, [w.public_key for w in many]) == [
        (w.public_key, 100 + i) for i, w in enumerate(many)
    ]
    assert with_lines(whole, lines) == whole


def test_the_earliest_of_two_cosignatures_of_a_witness_counts(
    log: CryptoSigner, witness: CryptoSigner, checkpoint: Checkpoint
) -> None:
    note = sign_note(checkpoint, log)
    lines = [cosignature(note, witness, name="w", at=at) for at in (200, 100, 300)]
    assert cosigners(with_lines(note, lines), [witness.public_key]) == [(witness.public_key, 100)]


def test_lines_of_keys_that_nobody_asked_about_are_ignored(
    log: CryptoSigner, witness: CryptoSigner, checkpoint: Checkpoint
) -> None:
    note = with_lines(sign_note(checkpoint, log), SPEC_NOTE.splitlines()[-1:])
    assert open_note(note, [log.public_key]) == checkpoint
    assert cosigners(note, [witness.public_key]) == []
    with pytest.raises(Tampered, match="no signature of a log key that is trusted"):
        open_note(note, [witness.public_key])


def test_a_witness_is_no_log_and_a_log_is_no_witness(
    log: CryptoSigner, witness: CryptoSigner, checkpoint: Checkpoint
) -> None:
    note = sign_note(checkpoint, log)
    both = with_lines(note, [cosignature(note, witness, name=ORIGIN, at=1)])
    with pytest.raises(Tampered, match="no signature of a log key"):
        open_note(both, [witness.public_key])
    assert cosigners(both, [log.public_key]) == []


def test_a_checkpoint_of_another_log_is_refused(log: CryptoSigner, checkpoint: Checkpoint) -> None:
    with pytest.raises(Tampered, match=r"one of example\.com/other is wanted"):
        open_note(sign_note(checkpoint, log), [log.public_key], origin="example.com/other")


Edit = Callable[[str], str]
ROOT = base64.b64encode(merkle.root([b"a", b"b", b"c"])).decode()
EDITS: dict[str, Edit] = {
    "another size": lambda note: note.replace("\n3\n", "\n4\n"),
    "another root": lambda note: note.replace(ROOT, base64.b64encode(bytes(32)).decode()),
    "another origin": lambda note: note.replace(f"{ORIGIN}\n", f"{ORIGIN}2\n", 1),
    "an extension line": lambda note: note.replace("\n\n", "\nTimestamp: 1\n\n"),
    "a signature of something else": lambda note: with_lines(
        note.replace("\n3\n", "\n4\n"), SUMDB_NOTE.splitlines()[-1:]
    ),
    "no signature": lambda note: note.partition("\n\n")[0] + "\n\n",
    "no empty line": lambda note: note.replace("\n\n", "\n"),
    "no newline at the end": lambda note: note[:-1],
    "Windows line ends": lambda note: note.replace("\n", "\r\n"),
    "a control character": lambda note: note.replace("\n\n", "\nx\x1b[2J\n\n"),
    "a tab in a line": lambda note: note.replace(f"{DASH} ", f"{DASH}\t"),
    "a hyphen for the dash": lambda note: note.replace(DASH, "-"),
    "a word too many": lambda note: f"{note[:-1]} x\n",
    "a name with a plus": lambda note: note.replace(f"{DASH} ex", f"{DASH} +ex"),
    "an unknown line that is no base64": lambda note: f"{note}{DASH} x ====\n",
    "an unknown line without a signature": lambda note: f"{note}{DASH} x AAAAAA==\n",
    "base64 with spare bits": lambda note: f"{note}{DASH} x AAAAAAF=\n",
    "base64 without its padding": lambda note: note.replace("=\n", "\n"),
    "a hundred and one lines": lambda note: note + f"{DASH} x AAAAAAAA\n" * 100,
    "a megabyte": lambda note: f"{note}{DASH} x {'AAAA' * 250_000}\n",
    "an unknown line with a plus in its name": lambda note: f"{note}{DASH} a+b AAAAAAAA\n",
    "an unknown line with a space in its name": lambda note: f"{note}{DASH} a\u00a0b AAAAAAAA\n",
    "an unknown line that would clear a terminal": lambda note: f"{note}{DASH} \x1b[2J AAAAAAAA\n",
    "an unknown line without its newline": lambda note: f"{note}{DASH} x AAAAAAAA",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edited_or_malformed_note_is_refused(
    edit: Edit, log: CryptoSigner, checkpoint: Checkpoint
) -> None:
    note = sign_note(checkpoint, log)
    assert open_note(note, [log.public_key]) == checkpoint
    assert edit(note) != note
    with pytest.raises(Tampered):
        open_note(edit(note), [log.public_key])


def test_a_bad_line_of_a_trusted_key_spoils_the_note_beside_a_good_one(
    log: CryptoSigner, witness: CryptoSigner, checkpoint: Checkpoint
) -> None:
    note = sign_note(checkpoint, log)
    later = sign_note(Checkpoint(origin=ORIGIN, size=4, root=bytes(32)), log)
    with pytest.raises(Tampered, match="is not a signature of this checkpoint"):
        open_note(with_lines(note, later.splitlines()[-1:]), [log.public_key])
    moved = with_lines(note, [cosignature(later, witness, name="w", at=1)])
    with pytest.raises(Tampered, match="is not a signature of this checkpoint"):
        cosigners(moved, [witness.public_key])


def test_a_time_that_was_changed_or_cannot_be_read_is_refused(
    log: CryptoSigner, witness: CryptoSigner, checkpoint: Checkpoint
) -> None:
    note = sign_note(checkpoint, log)
    line = SignedNote.parse(with_lines(note, [cosignature(note, witness, name="w", at=7)])).lines[1]
    blob = line.hint + (8).to_bytes(8, "big") + line.signature[8:]
    changed = f"{DASH} w {base64.b64encode(blob).decode()}"
    with pytest.raises(Tampered, match="is not a signature of this checkpoint"):
        cosigners(with_lines(note, [changed]), [witness.public_key])
    for cut in (7, 12):
        short = replace(line, signature=line.signature[:cut]).text()
        with pytest.raises(Tampered):
            cosigners(with_lines(note, [short]), [witness.public_key])
    last = cosignature(note, witness, name="w", at=253_402_300_799)
    assert cosigners(with_lines(note, [last]), [witness.public_key])[0][1] == 253_402_300_799
    beyond = cosignature(note, witness, name="w", at=253_402_300_800)
    with pytest.raises(Tampered, match="no time that can be read"):
        cosigners(with_lines(note, [beyond]), [witness.public_key])


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n3\n{ROOT}",
        f"{ORIGIN}\n3\n",
        f"\n3\n{ROOT}\n",
        f"{ORIGIN}\n3\n{ROOT}\n\n",
        f"{ORIGIN}\n03\n{ROOT}\n",
        f"{ORIGIN}\n+3\n{ROOT}\n",
        f"{ORIGIN}\n-3\n{ROOT}\n",
        f"{ORIGIN}\n3_0\n{ROOT}\n",
        f"{ORIGIN}\n 3\n{ROOT}\n",
        f"{ORIGIN}\n\u0663\n{ROOT}\n",
        f"{ORIGIN}\n0x3\n{ROOT}\n",
        f"{ORIGIN}\n9223372036854775808\n{ROOT}\n",
        f"{ORIGIN}\n3\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n3\nYmFuYW5hcw==\n",
        f"{ORIGIN}\n0\n{ROOT}\n",
    ],
    ids=[
        "no last newline", "no root", "no origin", "an empty extension line", "a leading zero",
        "a sign", "negative", "an underscore", "a space", "digits of another script", "hexadecimal",
        "a size no tree has", "a root cut short", "a root of seven bytes",
        "an empty tree with a root",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Tampered):
        Checkpoint.parse(text)


def test_a_checkpoint_of_an_empty_tree_and_one_with_extensions_are_read() -> None:
    empty = Checkpoint(origin=ORIGIN, size=0, root=merkle.EMPTY_ROOT)
    assert Checkpoint.parse(empty.text()) == empty
    extended = Checkpoint(origin="Moon Log", size=1, root=bytes(32), extensions=("a", "b c"))
    assert Checkpoint.parse(extended.text()) == extended


@given(st.binary(max_size=300))
def test_no_bytes_whatever_are_taken_for_a_signed_checkpoint(data: bytes) -> None:
    with pytest.raises(Tampered):
        open_note(data, [_key(SUMDB)])


def test_a_note_read_from_a_file_keeps_its_bytes(
    tmp_path: Path, log: CryptoSigner, checkpoint: Checkpoint
) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(sign_note(checkpoint, log).encode())
    assert open_note(path.read_bytes(), [log.public_key]) == checkpoint
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(Tampered):
        open_note(path.read_bytes(), [log.public_key])
    with pytest.raises(Tampered, match="UTF-8"):
        open_note(b"\xff" + path.read_bytes(), [log.public_key])
