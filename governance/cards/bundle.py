"""Bundles: a folder an outsider can verify alone, and that stock diffusers can load.

It holds the model as diffusers saved it, the card, a bill of materials, the evidence, a proof that
the ledger holds each act, the public keys, and `verify.sh`, which needs only openssl and sha256sum.
Every statement is a Sigstore bundle, the model's signature is OpenSSF Model Signing, each proof is
a C2SP tlog-proof: tools that are not ours read all of it.

Does not see: who the keys belong to. An outsider pins them (`--trust`), or trusts this bundle's.
"""

import shutil
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import SSlibKey

from governance.canon import Json, file_sha256, sha256, whole_folder, write_whole
from governance.cards import acts, render
from governance.cards.bom import BOM_FILE, bom_statement, render_bom
from governance.cards.evidence import BESIDE, CHECKPOINT, FOLDER, Evidence
from governance.cards.model_signature import SIGNATURE_FILE, sign_model
from governance.errors import Tampered
from governance.signers.trust import NOTES, TRUST_FILE, Trust, TrustedKey
from governance.statements import SVR, sign, statement
from governance.trail.note import COSIGNATURE, SignedNote, VerifierKey, log_vkey, open_note
from governance.trail.witness import witness_name

if TYPE_CHECKING:
    from governance.workspace import Workspace

CARD, SUMS, CARD_STATEMENT, SCRIPT = "README.md", "SHA256SUMS", "card.json", "verify.sh"
BOM_STATEMENT = "bom.sigstore.json"
PIPELINE, SAMPLES, KEYS = "pipeline", "samples.png", "keys"
EXPORTER = "https://pramana.dev/card/v1"
UNSUMMED = frozenset({SUMS, CARD_STATEMENT})  # one lists the rest, the other signs the list
NO_MODEL = frozenset(  # what lies beside the model in a bundle
    {
        CARD, SUMS, CARD_STATEMENT, SCRIPT, BOM_FILE, BOM_STATEMENT, SAMPLES, SIGNATURE_FILE,
        TRUST_FILE, FOLDER, acts.PROOFS, KEYS,
    }
)  # fmt: skip


def make_bundle(workspace: "Workspace", run: Path, out: Path) -> Path:
    """Write the bundle of a finished run into a new folder, verified, whole or not at all.

    Raises:
        UsageError: the folder is there already and holds something.
        EvidenceMissing: something the card must show is gone, or a witness is awaited.
        Tampered: something it shows was altered.
    """
    from governance.cards.collection import collect  # noqa: PLC0415  heavy
    from governance.cards.verification import verify_bundle  # noqa: PLC0415  it imports this module

    evidence = collect(workspace, run)
    with whole_folder(out) as folder:
        _fill(folder, workspace, run, evidence)
        for check in verify_bundle(folder, workspace.keyring.trust()):
            if check.status:
                raise Tampered(f"The bundle of run {run.name} would not verify. {check.detail}")
        sums = file_sha256(folder / SUMS)
    workspace.ledger.append("card.exported", {"run": run.name, "sums": sums})
    return out


def listing(folder: Path) -> bytes:
    """Return the list of all files of a bundle that it must list, as sha256sum reads it."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    listed = sorted(name for name in names if name not in UNSUMMED)
    return "".join(f"{file_sha256(folder / name)}  {name}\n" for name in listed).encode()


def signed_listing(sums: bytes) -> bytes:
    """Return the payload that vouches for the list of files, for the card key to sign."""
    said: dict[str, Json] = {"verifier": {"id": EXPORTER}, "properties": ["PRAMANA_CARD_EXPORTED"]}
    return statement(SVR, subjects={SUMS: sha256(sums)}, predicate=said)


def _fill(folder: Path, workspace: "Workspace", run: Path, evidence: Evidence) -> None:
    """Write all files of a bundle, the list and the signature of it last."""
    signer, trust = workspace.keyring.signer("card"), evidence.trust()
    shutil.copytree(run / PIPELINE, folder, dirs_exist_ok=True)
    for name in sorted(evidence.files.keys() - set(BESIDE)):
        write_whole(folder / FOLDER / name, evidence.bytes_of(name))
    for name in sorted(evidence.files.keys() & set(BESIDE)):
        write_whole(folder / name, evidence.bytes_of(name))
    write_whole(
        folder / SIGNATURE_FILE, sign_model(folder, signer, name=run.name, ignored=NO_MODEL)
    )
    shutil.copyfile(run / SAMPLES, folder / SAMPLES)
    write_whole(folder / CARD, render.render(evidence).encode())
    write_whole(folder / BOM_FILE, render_bom(evidence))
    write_whole(folder / BOM_STATEMENT, sign(bom_statement(evidence), signer))
    note = evidence.bytes_of(CHECKPOINT).decode()
    size = open_note(note, trust.ever("log")).size
    for name, data in acts.proofs(workspace.ledger, evidence, size=size).items():
        write_whole(folder / name, data)
    for name, text in public_keys(trust, note).items():
        write_whole(folder / KEYS / name, text.encode())
    script = package_files("governance.cards").joinpath(SCRIPT).read_bytes()
    write_whole(folder / SCRIPT, script, mode=0o755)
    sums = listing(folder)
    write_whole(folder / SUMS, sums)
    write_whole(folder / CARD_STATEMENT, sign(signed_listing(sums), signer))


def public_keys(trust: Trust, note: str) -> dict[str, str]:
    """Return the files of all keys that count, as PEM, and as C2SP vkeys where they sign notes."""
    found = {}
    for key in trust.keys:
        if key.until == 0:  # revoked
            continue
        name = f"{key.role}-{key.id[:16]}"
        found[f"{name}.pub"] = _pem(key.public)
        if key.role in NOTES:
            found[f"{name}.vkey"] = f"{_vkey(key, trust.origin, note)}\n"
    return found


def _pem(key: SSlibKey) -> str:
    value = str(key.keyval["public"])
    if key.keytype != "ed25519":
        return f"{value.strip()}\n"
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(value))
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _vkey(key: TrustedKey, origin: str, note: str) -> str:
    """Return a vkey under the name that the key signed this note with; a name is part of it."""
    if key.role == "log":
        return log_vkey(origin, key.public)
    for line in SignedNote.parse(note).lines:
        vkey = VerifierKey(name=line.name, kind=COSIGNATURE, key=key.public).text()
        if vkey.split("+")[1] == line.hint.hex():
            return vkey
    return VerifierKey(name=witness_name(key.public), kind=COSIGNATURE, key=key.public).text()
