"""A witness signs only what extends what it remembers, and remembers only what it signed."""

import base64
import fcntl
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from governance.errors import EvidenceMissing, PramanaError, Refused, Tampered
from governance.signers.keys import Keyring
from governance.signers.trust import Trust, TrustedKey
from governance.trail import merkle
from governance.trail.ledger import Ledger
from governance.trail.note import DASH, Checkpoint, cosignature, cosigners, sign_note, with_lines
from governance.trail.witness import (
    Remembered,
    accept,
    check_checkpoint,
    check_cosigned,
    cosign,
    witness_name,
)

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
ORIGIN = "example.com/log"

# What FiloSottile/torchwood (internal/witness/witness_test.go, TestRace) sends to a witness: three
# checkpoints of one log, and the proofs from the first to the others.
PUBLISHED_LOG = (
    "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
)
PUBLISHED_KEY = "ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f"
PUBLISHED = {
    1: (
        "KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=",
        [],
    ),
    3: (
        "RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=",
        "UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=",
        [
            "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ],
    ),
    5: (
        "QrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=",
        "UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=",
        [
            "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=",
            "KgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ],
    ),
}


def _published(size: int) -> tuple[str, list[bytes]]:
    root, signature, proof = PUBLISHED[size]
    note = f"{PUBLISHED_LOG}\n{size}\n{root}\n\n{DASH} {PUBLISHED_LOG} {signature}\n"
    return note, [base64.b64decode(step) for step in proof]


@pytest.fixture
def published_key() -> SSlibKey:
    raw = bytes.fromhex(PUBLISHED_KEY)
    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))


@pytest.fixture
def log() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@pytest.fixture
def witness() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


def _grown(size: int, *, first: bytes = b"0") -> merkle.Tree:
    return merkle.Tree.of([first, *(str(n).encode() for n in range(1, size))])


def _note(tree: merkle.Tree, log: CryptoSigner) -> str:
    return sign_note(Checkpoint(origin=ORIGIN, size=tree.size, root=tree.root()), log)


def test_the_published_exchange_is_cosigned_and_the_race_in_it_refused(
    tmp_path: Path, witness: CryptoSigner, published_key: SSlibKey
) -> None:
    for size in (1, 5):
        note, proof = _published(size)
        line = cosign(tmp_path, note, proof, signer=witness, now=NOW, log=[published_key])
        cosigned = with_lines(note, [line])
        assert cosigners(cosigned, [witness.public_key])[0][1] == NOW.timestamp()
    note, proof = _published(3)
    with pytest.raises(Tampered, match=r"witness \(2\): the log has 3 entries; it had 5"):
        cosign(tmp_path, note, proof, signer=witness, now=NOW)


def test_a_log_that_only_grows_is_cosigned_each_time(
    tmp_path: Path, log: CryptoSigner, witness: CryptoSigner
) -> None:
    last = 0
    for size in (1, 2, 2, 3, 7, 8, 40):
        tree = _grown(size)
        note = _note(tree, log)
        proof = merkle.consistency_proof(tree.node, last, size) if last else []
        line = cosign(
            tmp_path, note, proof, signer=witness, now=NOW, log=[] if last else [log.public_key]
        )
        assert cosigners(with_lines(note, [line]), [witness.public_key])
        remembered = Remembered.read(tmp_path, ORIGIN)
        assert remembered is not None
        assert remembered.checkpoint.size == size
        last = size


def test_the_name_of_a_witness_tells_its_key_and_not_who_it_is(
    tmp_path: Path, log: CryptoSigner, witness: CryptoSigner
) -> None:
    note = _note(_grown(1), log)
    line = cosign(tmp_path, note, [], signer=witness, now=NOW, log=[log.public_key])
    assert line.startswith(f"{DASH} witness/{witness.public_key.keyid[:16]} ")
    named = cosign(tmp_path, note, [], signer=witness, now=NOW, name="dpo.example/w1")
    assert named.startswith(f"{DASH} dpo.example/w1 ")


@pytest.fixture
def seen(tmp_path: Path, log: CryptoSigner, witness: CryptoSigner) -> Path:
    """The state of a witness that cosigned seven entries."""
    note = _note(_grown(7), log)
    cosign(tmp_path / "seen", note, [], signer=witness, now=NOW, log=[log.public_key])
    return tmp_path / "seen"


def _smaller(log: CryptoSigner) -> tuple[str, list[bytes], datetime]:
    return _note(_grown(6), log), [], NOW


def _rewritten(log: CryptoSigner) -> tuple[str, list[bytes], datetime]:
    tree = _grown(9, first=b"another")
    return _note(tree, log), merkle.consistency_proof(tree.node, 7, 9), NOW


def _same_size(log: CryptoSigner) -> tuple[str, list[bytes], datetime]:
    return _note(_grown(7, first=b"another"), log), [], NOW


def _unproved(log: CryptoSigner) -> tuple[str, list[bytes], datetime]:
    return _note(_grown(9), log), [], NOW


def _stranger(_: CryptoSigner) -> tuple[str, list[bytes], datetime]:
    tree = _grown(9)
    proof = merkle.consistency_proof(tree.node, 7, 9)
    return _note(tree, CryptoSigner.generate_ed25519()), proof, NOW


def _back_in_time(log: CryptoSigner) -> tuple[str, list[bytes], datetime]:
    tree = _grown(9)
    earlier = NOW - timedelta(seconds=1)
    return _note(tree, log), merkle.consistency_proof(tree.node, 7, 9), earlier


ATTACKS: dict[str, tuple[Callable[..., tuple[str, list[bytes], datetime]], type, str]] = {
    "cut off": (_smaller, Tampered, r"witness \(2\)"),
    "rewritten and grown": (_rewritten, Tampered, r"witness \(3\)"),
    "rewritten at the same size": (_same_size, Tampered, r"witness \(3\)"),
    "grown without a proof": (_unproved, Tampered, r"witness \(3\)"),
    "signed by a stranger": (_stranger, Tampered, "no signature of a log key"),
    "a clock set back": (_back_in_time, Refused, r"witness \(4\)"),
}


@pytest.mark.parametrize(("made", "error", "says"), ATTACKS.values(), ids=ATTACKS.keys())
def test_nothing_is_signed_and_nothing_forgotten_when(
    made: Callable[..., tuple[str, list[bytes], datetime]],
    error: type[PramanaError],
    says: str,
    seen: Path,
    log: CryptoSigner,
    witness: CryptoSigner,
) -> None:
    before = {path.name: path.read_bytes() for path in seen.iterdir()}
    note, proof, now = made(log)
    with pytest.raises(error, match=says):
        cosign(seen, note, proof, signer=witness, now=now)
    assert {path.name: path.read_bytes() for path in seen.iterdir()} == before


def test_a_log_nobody_vouched_for_is_not_cosigned(
    tmp_path: Path, log: CryptoSigner, witness: CryptoSigner
) -> None:
    with pytest.raises(Refused, match=r"witness \(1\): nothing is known of example\.com/log yet"):
        cosign(tmp_path, _note(_grown(1), log), [], signer=witness, now=NOW)
    assert Remembered.read(tmp_path, ORIGIN) is None


def test_a_new_key_of_the_log_needs_a_person_who_vouches_for_it(
    seen: Path, log: CryptoSigner, witness: CryptoSigner
) -> None:
    renewed, tree = CryptoSigner.generate_ed25519(), _grown(9)
    note, proof = _note(tree, renewed), merkle.consistency_proof(tree.node, 7, 9)
    with pytest.raises(Tampered):
        cosign(seen, note, proof, signer=witness, now=NOW)
    cosign(seen, note, proof, signer=witness, now=NOW, log=[renewed.public_key])
    with pytest.raises(Tampered):  # the old one counts no more
        cosign(seen, _note(_grown(9), log), [], signer=witness, now=NOW)


def test_two_logs_do_not_mix_in_one_memory(seen: Path, witness: CryptoSigner) -> None:
    other, checkpoint = CryptoSigner.generate_ed25519(), _grown(2)
    note = sign_note(Checkpoint(origin="example.com/two", size=2, root=checkpoint.root()), other)
    cosign(seen, note, [], signer=witness, now=NOW, log=[other.public_key])
    one, two = Remembered.read(seen, ORIGIN), Remembered.read(seen, "example.com/two")
    assert one is not None
    assert two is not None
    assert (one.checkpoint.size, two.checkpoint.size) == (7, 2)


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"keys":[],"note":"x","at":1}', b"[1]"])
def test_a_damaged_memory_signs_nothing(
    damage: bytes, seen: Path, log: CryptoSigner, witness: CryptoSigner
) -> None:
    next(seen.glob("*.json")).write_bytes(damage)  # there is one
    tree = _grown(9)
    proof = merkle.consistency_proof(tree.node, 7, 9)
    with pytest.raises(PramanaError):
        cosign(seen, _note(tree, log), proof, signer=witness, now=NOW)


def test_two_askers_wait_for_each_other_between_the_look_and_the_signature(
    seen: Path, log: CryptoSigner, witness: CryptoSigner
) -> None:
    tree, lines = _grown(9), []
    note, proof = _note(tree, log), merkle.consistency_proof(tree.node, 7, 9)
    asking = threading.Thread(
        target=lambda: lines.append(cosign(seen, note, proof, signer=witness, now=NOW))
    )
    with (seen / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asking.start()
        asking.join(timeout=0.3)
        assert asking.is_alive()
        assert lines == []
    asking.join(timeout=10)
    assert len(lines) == 1


@pytest.fixture
def trusted(tmp_path: Path) -> tuple[Ledger, Trust, dict[str, CryptoSigner]]:
    """A ledger of five acts, a trust file that asks for two of three witnesses, and their keys."""
    keyring = Keyring(tmp_path / "keys")
    trust, signers = keyring.trust(), {}
    for person in ("asha", "bea", "chen"):
        signers[person] = CryptoSigner.generate_ed25519()
        key = TrustedKey(role="witness", person=person, public=signers[person].public_key)
        trust = trust.with_key(key)
    trust = replace(trust, witnesses=2)
    ledger = Ledger(
        f"sqlite:///{tmp_path / 'ledger.db'}", trust.origin, tuple(trust.of("log")),
        lambda: keyring.signer("log"),
    )  # fmt: skip
    for number in range(5):
        ledger.append("test", {"number": number})
    return ledger, trust, signers


def _line(note: str, signer: CryptoSigner, at: int) -> str:
    return cosignature(note, signer, name=witness_name(signer.public_key), at=at)


def test_enough_different_people_must_have_seen_a_checkpoint(
    trusted: tuple[Ledger, Trust, dict[str, CryptoSigner]],
) -> None:
    ledger, trust, signers = trusted
    note = ledger.note()
    assert check_cosigned(note, trust, at_least=0) == []
    one = with_lines(note, [_line(note, signers["bea"], 200)])
    with pytest.raises(EvidenceMissing, match=r"carries cosignatures of 1 witness\(es\)"):
        check_cosigned(one, trust)
    two = with_lines(one, [_line(note, signers["asha"], 100)])
    assert check_cosigned(two, trust) == [("asha", 100), ("bea", 200)]


def test_one_person_with_two_keys_is_one_witness(
    trusted: tuple[Ledger, Trust, dict[str, CryptoSigner]],
) -> None:
    ledger, trust, signers = trusted
    second = CryptoSigner.generate_ed25519()
    trust = trust.with_key(TrustedKey(role="witness", person="asha", public=second.public_key))
    note = ledger.note()
    both = with_lines(note, [_line(note, signers["asha"], 9), _line(note, second, 5)])
    assert check_cosigned(both, trust, at_least=1) == [("asha", 5)]
    with pytest.raises(EvidenceMissing):
        check_cosigned(both, trust)


def test_a_witness_counts_for_what_it_saw_before_its_key_was_rotated_and_not_once_revoked(
    trusted: tuple[Ledger, Trust, dict[str, CryptoSigner]],
) -> None:
    ledger, trust, signers = trusted
    note = ledger.note()
    both = with_lines(note, [_line(note, signers["asha"], 1), _line(note, signers["bea"], 2)])
    keyid = signers["asha"].public_key.keyid
    assert check_cosigned(both, trust.ended(keyid, 5))
    for until in (4, 0):  # act 4 made this checkpoint
        with pytest.raises(EvidenceMissing):
            check_cosigned(both, trust.ended(keyid, until))


def test_a_log_key_counts_for_checkpoints_of_before_its_rotation_only(
    trusted: tuple[Ledger, Trust, dict[str, CryptoSigner]],
) -> None:
    ledger, trust, _ = trusted
    keyid = trust.of("log")[0].keyid
    renewed = CryptoSigner.generate_ed25519()
    trust = trust.with_key(TrustedKey(role="log", public=renewed.public_key)).ended(keyid, 3)
    assert check_checkpoint(ledger.note(3), trust).size == 3
    with pytest.raises(Tampered, match="no signature of a log key"):
        check_checkpoint(ledger.note(4), trust)


def test_a_checkpoint_of_another_ledger_is_refused_whoever_signed_it(
    trusted: tuple[Ledger, Trust, dict[str, CryptoSigner]],
) -> None:
    ledger, trust, _ = trusted
    with pytest.raises(Tampered, match="is wanted"):
        check_checkpoint(ledger.note(), replace(trust, origin="example.com/other"))


def test_cosignatures_that_came_back_are_kept_once_beside_their_checkpoint(
    trusted: tuple[Ledger, Trust, dict[str, CryptoSigner]],
) -> None:
    ledger, trust, signers = trusted
    note = ledger.note(3)
    stranger = _line(note, CryptoSigner.generate_ed25519(), 1)
    cosigned = with_lines(note, [_line(note, signers["chen"], 300), stranger])
    for _ in range(2):
        assert accept(ledger, trust, cosigned) == [("chen", 300)]
    assert ledger.cosigned() == [3]
    assert check_cosigned(ledger.note(3), trust, at_least=1) == [("chen", 300)]
    assert ledger.note(3).count(DASH) == 2
    assert ledger.verify().size == 5


def test_cosignatures_of_nobody_trusted_or_of_another_tree_are_not_kept(
    trusted: tuple[Ledger, Trust, dict[str, CryptoSigner]], tmp_path: Path
) -> None:
    ledger, trust, signers = trusted
    note = ledger.note()
    with pytest.raises(EvidenceMissing):
        accept(ledger, trust, with_lines(note, [_line(note, CryptoSigner.generate_ed25519(), 1)]))
    twin = replace(ledger, url=f"sqlite:///{tmp_path / 'twin.db'}")
    for _ in range(5):
        twin.append("another", {})
    note = twin.note()
    with pytest.raises(Tampered, match="There are two ledgers of one name"):
        accept(ledger, trust, with_lines(note, [_line(note, signers["asha"], 1)]))
    assert ledger.cosigned() == []
