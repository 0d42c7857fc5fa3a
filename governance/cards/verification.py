"""Verifying a bundle with nothing but its bytes and the keys, one line a check.

Does not see: who the keys belong to, unless they are pinned. It sees that the bundle is of one
piece, that each role signed what is its to sign, and that the ledger holds each act.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from governance.attest import DRAWN, check_audited, check_decided, check_drew
from governance.canon import canonical, file_sha256, printable, sha256
from governance.cards import acts, render
from governance.cards.acts import read
from governance.cards.bom import BOM_FILE, model_files, render_bom
from governance.cards.bundle import (
    BOM_STATEMENT,
    CARD,
    CARD_STATEMENT,
    KEYS,
    NO_MODEL,
    PIPELINE,
    SAMPLES,
    SUMS,
    UNSUMMED,
    public_keys,
)
from governance.cards.drawn_files import DRAWN_STATEMENT, DREW, check_drawn_of
from governance.cards.evidence import (
    AUDIT_STATEMENT,
    CHECKPOINT,
    DECISION_STATEMENT,
    EXPORTER_FILE,
    FINDINGS_FILE,
    FOLDER,
    Evidence,
    exporter,
    policy_file,
)
from governance.cards.model_signature import SIGNATURE_FILE, check_model
from governance.cards.waiver_files import check_papers, extends_by
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.records import FINISHED, json_object
from governance.signers.trust import TRUST_FILE, TRUST_TYPE, Trust
from governance.statements import CYCLONEDX, SVR, open_envelope, read_statement
from governance.trail.witness import check_checkpoint
from governance.verify import (
    RESULT_FILE,
    Check,
    check_run,
    checked,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A bundle, whose keys count for it, and what its evidence says. Nothing is verified yet."""

    folder: Path
    trust: Trust
    evidence: Evidence
    digest_of: Callable[[Path], str]  # remembers, so that no file is hashed twice

    def number(self, act: str) -> int:
        """Return the number of an act, as its proof claims; that the proof holds is one check."""
        return acts.acts(self.evidence)[act].proof_file(self.folder).index

    def last(self) -> int:
        """Return the number of the last act that the checkpoint in the bundle covers."""
        return check_checkpoint(self.evidence.bytes_of(CHECKPOINT), self.trust).size - 1

    def opened(self, name: str, role: str, at: int) -> bytes:
        """Return the payload of a statement of a role that counted at an act.

        Raises:
            EvidenceMissing, Tampered, Refused: it is absent, altered, or another's.
        """
        return open_envelope(read(self.folder / name), self.trust.of(role, at=at))


def verify_bundle(folder: Path, pinned: Trust | None = None) -> list[Check]:
    """Verify a bundle with nothing but its bytes and the keys; never stops at a fault.

    Args:
        folder: the bundle.
        pinned: the keys the verifier trusts; None trusts the keys in the bundle itself, which
            proves only that the bundle is of one piece.
    """
    trust: list[Trust] = []
    whose = "the ones pinned, or newer ones they signed" if pinned else "the bundle's own"
    keys = checked(f"keys: {whose}", lambda: trust.append(trust_of(folder, pinned)))
    if not trust:
        return [keys]  # what unknown keys signed is not worth a look
    bundle = Opened(
        folder=folder,
        trust=trust[0],
        evidence=Evidence.read(folder),
        digest_of=functools.cache(file_sha256),
    )
    needed = f"{bundle.trust.profile} profile, {bundle.trust.witnesses} witnesses needed"
    checks = (
        ("files: each is the one listed, none was added", _listed),
        ("list: signed by the card key", _signed_list),
        ("public keys: those of the trust file, in its roles", _public_keys),
        ("audits: signed by the auditor, with these findings", _audits),
        ("decision: signed by the gate, with these policies; the one cleared", _decision),
        ("waivers: nothing was set aside but what a quorum approved before", _waivers),
        ("run: cleared by the gate, signed by the trainer", _run),
        (f"ledger: one checkpoint holds each act ({needed})", _ledger),
        ("model: the files signed, no other (OpenSSF Model Signing)", _model),
        ("bom: signed, and what the evidence says (CycloneDX)", _bom),
        ("card: what the evidence says, byte for byte", _card),
    )
    return [keys, *(checked(what, partial(act, bundle)) for what, act in checks)]


def trust_of(folder: Path, pinned: Trust | None) -> Trust:
    """Return whose signatures count for a bundle: the newer of the pinned and its own trust file.

    Raises:
        EvidenceMissing: it has none.
        Tampered, Refused: it is of another house, or the pinned root keys did not sign it.
    """
    data = read(folder / TRUST_FILE)
    own = Trust.from_bytes(data)
    if pinned is None or own.version >= pinned.version:
        return Trust.from_bytes(data, pinned=pinned)
    try:
        open_envelope(data, pinned.ever("root"), TRUST_TYPE)
    except Refused:
        raise Refused("No root key that you pinned ever signed the bundle's trust file.") from None
    return pinned


def _listed(bundle: Opened) -> None:
    lines = read(bundle.folder / SUMS).decode(errors="replace").splitlines()
    listed = {name: expected for expected, _, name in (line.partition("  ") for line in lines)}
    paths = {p.relative_to(bundle.folder).as_posix(): p for p in bundle.folder.rglob("*")}
    found = {name for name, path in paths.items() if path.is_file()} - UNSUMMED
    for name in sorted(found ^ listed.keys()):
        raise Tampered(f"The file {printable(name)} is listed and absent, or was added.")
    for name, expected in listed.items():
        if bundle.digest_of(paths[name]) != expected:
            raise Tampered(f"The file {printable(name)} is not the one that was listed.")


def _signed_list(bundle: Opened) -> None:
    payload = bundle.opened(CARD_STATEMENT, "card", bundle.last())
    subjects, _ = read_statement(payload, SVR)
    if subjects.get(SUMS) != sha256(read(bundle.folder / SUMS)):
        raise Tampered(f"{SUMS} is not the list that was signed.")


def _public_keys(bundle: Opened) -> None:
    own = bundle.evidence.trust()
    expected = public_keys(own, bundle.evidence.bytes_of(CHECKPOINT).decode(errors="replace"))
    found = {p.name: p.read_bytes() for p in (bundle.folder / KEYS).rglob("*") if p.is_file()}
    if found != {name: text.encode() for name, text in expected.items()}:
        raise Tampered(f"The files in {KEYS}/ are not the keys that {TRUST_FILE} names.")


def _audits(bundle: Opened) -> None:
    name = f"{FOLDER}/{AUDIT_STATEMENT}"
    decision = bundle.evidence.decision()
    check_audited(bundle.opened(name, "auditor", bundle.number(acts.DECIDED)), decision)
    if bundle.evidence.digest(FINDINGS_FILE) != decision.findings:
        raise Tampered("The findings in the bundle are not those the decision names.")
    if DRAWN in bundle.evidence.files:
        _drawn(bundle)


def _drawn(bundle: Opened) -> None:
    evidence, result = bundle.evidence, bundle.evidence.json(RESULT_FILE)
    record = evidence.bytes_of(DRAWN)
    name = f"{FOLDER}/{DRAWN_STATEMENT}"
    check_drew(bundle.opened(name, "auditor", bundle.number(DREW)), record)
    check_drawn_of(record, run=str(result.get("run")), result=evidence.digest(RESULT_FILE))


def _decision(bundle: Opened) -> None:
    decision, clearance = bundle.evidence.decision(), bundle.evidence.clearance()
    name = f"{FOLDER}/{DECISION_STATEMENT}"
    check_decided(bundle.opened(name, "gate", bundle.number(acts.DECIDED)), decision)
    if (clearance.decision, clearance.cleared_root) != (decision.id, decision.cleared_root):
        raise Tampered("The decision in the bundle is not the one the clearance names.")
    for policy in decision.policies:
        if bundle.evidence.digest(policy_file(policy)) != policy.sha256:
            raise Tampered(f"The policy {policy.id} in the bundle is not the one that judged.")


def _waivers(bundle: Opened) -> None:
    told = acts.acts(bundle.evidence)

    def leaf_of(number: int) -> bytes:
        if number >= bundle.number(acts.DECIDED):
            raise Tampered(f"Act {number} on a waiver came after the decision that stands on it.")
        act = told[acts.waiver_act(number)]
        act.check(bundle.folder, bundle.trust)
        return act.leaf(bundle.folder)

    def proof_of(name: str) -> bytes:
        return read(bundle.folder / acts.PROOFS / name)

    decided = json_object(told[acts.DECIDED].leaf(bundle.folder), "a ledger entry")
    checkpoint = check_checkpoint(bundle.evidence.bytes_of(CHECKPOINT), bundle.trust)
    check_papers(
        bundle.evidence,
        trust=bundle.trust,
        leaf_of=leaf_of,
        at=str(decided.get("at")),
        extends=extends_by(checkpoint, proof_of),
    )


def _run(bundle: Opened) -> None:
    def locate(name: str) -> Path:
        if name.startswith(f"{PIPELINE}/"):
            return bundle.folder / name.removeprefix(f"{PIPELINE}/")
        return bundle.folder / name if name == SAMPLES else bundle.folder / FOLDER / name

    check_run(
        locate,
        bundle.trust,
        sha256(read(bundle.folder / FOLDER / RESULT_FILE)),
        cleared_at=bundle.number(acts.CLEARED),
        ended_at=bundle.number(FINISHED),
        digest_of=bundle.digest_of,
    )
    if bundle.evidence.json(RESULT_FILE).get("clearance") != bundle.evidence.clearance().id:
        raise Tampered("The run was under another clearance than the one in the bundle.")


def _ledger(bundle: Opened) -> None:
    acts.check_acts(bundle.folder, bundle.evidence, bundle.trust)


def _model(bundle: Opened) -> None:
    keys = bundle.trust.of("card", at=bundle.last())
    signature = read(bundle.folder / SIGNATURE_FILE)
    ignored = check_model(bundle.folder, signature, keys, digest_of=bundle.digest_of)
    if ignored != NO_MODEL:
        odd = ", ".join(sorted(map(printable, ignored ^ NO_MODEL)))
        raise Tampered(f"The model's signature ignores other paths than a bundle has: {odd}.")


def _bom(bundle: Opened) -> None:
    payload = bundle.opened(BOM_STATEMENT, "card", bundle.last())
    subjects, predicate = read_statement(payload, CYCLONEDX)
    bom = read(bundle.folder / BOM_FILE)
    if canonical(predicate) != bom or subjects != model_files(bundle.evidence):
        raise Tampered(f"{BOM_FILE} is not the one that was signed, or not of this model.")
    _check_rendered(bundle, BOM_FILE, render_bom)


def _card(bundle: Opened) -> None:
    _check_rendered(bundle, CARD, lambda evidence: render.render(evidence).encode())


def _check_rendered(bundle: Opened, name: str, rendering: Callable[[Evidence], bytes]) -> None:
    """Hold a rendered file to what the evidence says. Raises EvidenceMissing, Tampered."""
    try:
        if read(bundle.folder / name) == rendering(bundle.evidence):
            return
    except (LookupError, TypeError, ValueError, AttributeError) as fault:  # evidence is not ours
        raise Tampered(f"The evidence behind {name} does not read: {fault!r}.") from None
    made, ours = bundle.evidence.json(EXPORTER_FILE), exporter()
    if made != ours:
        raise EvidenceMissing(
            f"{name} was rendered by Pramana {printable(str(made.get('version')))}, this is "
            f"{ours['version']}: nothing can be said of it. Verify it with that version."
        )
    raise Tampered(f"{name} does not say what the evidence says; export the card again.")
