"""Attacks on what is handed out: bundles edited, listed anew, borrowed, or held to old keys.

Does not see: a reader who verifies nothing.
"""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from app.redteam.attack import Attack, Victim
from app.redteam.forged import edit, edit_json, flip, signed_anew
from app.redteam.scratch import Scratch
from governance.canon import canonical
from governance.cards.bundle import CARD, CARD_STATEMENT, SUMS, listing, signed_listing
from governance.errors import EvidenceMissing, PramanaError, Refused, Tampered
from governance.signers import roles
from governance.signers.keys import Keyring
from governance.signers.trust import TRUST_FILE, Trust
from governance.statements import sign

WHOLE: Final = "a bundle is what was signed: no file of it is another, missing or added"
SHOWN: Final = "whoever can list and sign a bundle anew still cannot change what stands behind it"
PINNED: Final = "an outsider who pinned the keys believes no other, and none that was revoked"
SEEN: Final = "in production nothing is shown that enough witnesses have not seen"
CHAINED: Final = "a model without its chain is never shown as one that has it"
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
ERRORS: Final = {kind.status: kind for kind in (PramanaError, Refused, Tampered, EvidenceMissing)}


def _verified(scratch: Scratch, pinned: Trust) -> None:
    """Verify the bundle as an outsider does. Raises what `pramana verify` ends with."""
    from governance.cards.verification import verify_bundle  # noqa: PLC0415  heavy

    failed = [check for check in verify_bundle(scratch.bundle, pinned) if check.status]
    if failed:
        worst = max(check.status for check in failed)
        raise ERRORS[worst](" | ".join(f"{check.what}: {check.detail}" for check in failed))


def _edited(attack: Callable[[Path], object]) -> Callable[[Scratch], Victim]:
    """Return an attack on a bundle by somebody without keys."""

    def act(scratch: Scratch) -> Victim:
        pinned = scratch.pinned
        attack(scratch.bundle)
        return partial(_verified, scratch, pinned)

    return act


def _by_an_insider(attack: Callable[[Path], object]) -> Callable[[Scratch], Victim]:
    """Return an attack by whoever holds the card's key, and lists and signs the bundle anew."""

    def act(scratch: Scratch) -> Victim:
        pinned, signer = scratch.pinned, scratch.keyring.signer("card")
        attack(scratch.bundle)
        sums = listing(scratch.bundle)
        (scratch.bundle / SUMS).write_bytes(sums)
        (scratch.bundle / CARD_STATEMENT).write_bytes(sign(signed_listing(sums), signer))
        return partial(_verified, scratch, pinned)

    return act


def _flip_weights(bundle: Path) -> None:
    flip(bundle / WEIGHTS)


def _add(bundle: Path) -> None:
    (bundle / "pytorch_model.bin").write_bytes(b"a pickle, perhaps")


def _remove(bundle: Path) -> None:
    (bundle / "samples.png").unlink()


def _link(bundle: Path) -> None:
    """Put a link where a file was, to the same bytes elsewhere."""
    outside = bundle.parent / "outside.png"
    shutil.move(bundle / "samples.png", outside)
    (bundle / "samples.png").symlink_to(outside)


def _pipe(bundle: Path) -> None:
    os.mkfifo(bundle / "evidence" / "more.json")


def _traverse(bundle: Path) -> None:
    """List a file outside of the bundle."""
    path = bundle / SUMS
    path.write_bytes(path.read_bytes() + b"0" * 64 + b"  ../../workspace/pramana.toml\n")


def _kinder_card(bundle: Path) -> None:
    data = (bundle / CARD).read_bytes()
    (bundle / CARD).write_bytes(data + b"\nEvery rule was kept.\n")


def _other_findings(bundle: Path) -> None:
    path = bundle / "evidence" / "findings.json"
    findings = json.loads(path.read_bytes())
    findings[0]["value"] = 0.125
    path.write_bytes(canonical(findings))


def _milder_policy(bundle: Path) -> None:
    edit(bundle / "evidence" / "policies" / "commercial.yaml", b"exclude", b"record")


def _more_steps(bundle: Path) -> None:
    edit(bundle / "evidence" / "result.json", b'"steps":', b'"steps":9')


def _other_decision(bundle: Path) -> None:
    edit_json(bundle / "evidence" / "decision.json", lambda said: said.update(excluded=0))


def _other_act(bundle: Path) -> None:
    edit(bundle / "ledger" / "decided.leaf", b'"verdict":"pass"', b'"verdict":"PASS"')


def _signed_by_card(scratch: Scratch) -> Victim:
    """Sign the clearance anew with the card's key."""
    path = scratch.bundle / "evidence" / "clearance.json"
    forged = signed_anew(path.read_bytes(), scratch.keyring.signer("card"))
    return _by_an_insider(lambda _: path.write_bytes(forged))(scratch)


def _other_house(scratch: Scratch) -> Victim:
    """Make the bundle of another house, and hand it out as this one's."""
    stranger = Keyring(scratch.folder / "stranger")
    (scratch.bundle / TRUST_FILE).write_bytes(stranger.trust().data)
    return partial(_verified, scratch, scratch.pinned)


def _revoked_card(scratch: Scratch) -> Victim:
    """Hand out a bundle signed with a card key that was revoked, to whoever knows of it."""
    roles.rotate(scratch.workspace, "card")
    old = scratch.pinned.of("card")[0].keyid
    roles.revoke(scratch.workspace, old)
    return partial(_verified, scratch, scratch.trust)


def _unwitnessed(scratch: Scratch) -> Victim:
    """Hand out a bundle that no witness has seen, to whoever knows that one must have."""
    scratch.keyring.enrol("witness", "wanda")
    roles.require_witnesses(scratch.workspace, 1)
    return partial(_verified, scratch, scratch.trust)


def _bare_model(scratch: Scratch) -> Victim:
    """Hand out a model alone, as another program would leave it."""
    shutil.rmtree(scratch.bundle)
    shutil.copytree(scratch.run / "pipeline", scratch.bundle)
    return partial(_verified, scratch, scratch.pinned)


def _borrowed_chain(scratch: Scratch) -> Victim:
    """Hand out other weights inside the bundle of a run that was cleared, signed anew as well."""
    from governance.cards.bundle import NO_MODEL  # noqa: PLC0415  heavy
    from governance.cards.model_signature import SIGNATURE_FILE, sign_model  # noqa: PLC0415  heavy

    signer = scratch.keyring.signer("card")

    def swap(bundle: Path) -> None:
        flip(bundle / WEIGHTS)
        signature = sign_model(bundle, signer, name=scratch.run.name, ignored=NO_MODEL)
        (bundle / SIGNATURE_FILE).write_bytes(signature)

    return _by_an_insider(swap)(scratch)


_bundle = partial(Attack, threat="bundle edited", holds=WHOLE, error=Tampered, ground="finished")
_insider = partial(Attack, threat="bundle edited", holds=SHOWN, error=Tampered, ground="finished")
_keys = partial(
    Attack, threat="old or forged trust file", holds=PINNED, error=Refused, ground="finished"
)
_chain = partial(Attack, threat="training on raw data", holds=CHAINED, ground="finished")

ATTACKS: Final = (
    _bundle(
        name="a weight of the model is flipped", act=_edited(_flip_weights),
        check="is not the one that was listed",
    ),
    _bundle(name="a file is added", act=_edited(_add), check="was added"),
    _bundle(
        name="a file is taken away", act=_edited(_remove), error=EvidenceMissing,
        check="listed and absent",
    ),
    _bundle(name="a file is a link", act=_edited(_link), check="is no regular file"),
    _bundle(name="a pipe is added", act=_edited(_pipe), check="is no regular file"),
    Attack(
        name="the list names a file outside", threat="path traversal", holds=WHOLE,
        act=_edited(_traverse), ground="finished", error=Tampered, check="listed and absent",
    ),
    _insider(name="the card is made kinder", act=_by_an_insider(_kinder_card), check="card:"),
    _insider(
        name="other findings are shown", act=_by_an_insider(_other_findings),
        check="The findings in the bundle",
    ),
    _insider(
        name="a milder policy is shown", act=_by_an_insider(_milder_policy),
        check="is not the one that judged",
    ),
    _insider(name="the run's result is edited", act=_by_an_insider(_more_steps), check="run:"),
    _insider(
        name="another decision is shown", act=_by_an_insider(_other_decision), check="decision:"
    ),
    _insider(
        name="another act of the ledger is shown", act=_by_an_insider(_other_act),
        check="ledger:",
    ),
    Attack(
        name="a clearance is shown that the card's key signed",
        threat="clearance signed by another role", holds=SHOWN, act=_signed_by_card,
        ground="finished", error=Tampered, check="No signature on this envelope",
    ),
    _keys(name="the bundle brings the keys of another house", act=_other_house, check="keys:"),
    _keys(
        name="the bundle was signed with a key that was revoked", act=_revoked_card, check="list:"
    ),
    Attack(
        name="a bundle is handed out that no witness has seen", threat="unwitnessed ledger",
        holds=SEEN, act=_unwitnessed, ground="finished", error=EvidenceMissing,
        check="carries cosignatures of 0 witness(es)",
    ),
    _chain(
        name="a model is handed out alone", act=_bare_model, error=EvidenceMissing, check="keys:"
    ),
    _chain(
        name="other weights are handed out with the chain of a cleared run",
        act=_borrowed_chain, error=Tampered, check="was altered after the run ended",
    ),
)  # fmt: skip
