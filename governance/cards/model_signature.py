"""Model signatures in the OpenSSF Model Signing format: which files a model consists of, signed.

A Sigstore bundle holds an in-toto Statement that lists each file with its SHA-256 and says which
paths it leaves out. `model_signing verify key` reads it, and so do we.

Does not see: what lies under the paths that the signature says it ignores, or how the weights came
about; provenance says that. The foreign tool also ignores `.git*` unless told not to; we do not.

Source: OpenSSF Model Signing, predicate https://model_signing/signature/v1.0 (model-signing 1.1).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.signer import Key, Signer, SSlibKey

from governance.canon import Json, canonical, file_sha256, printable, sha256
from governance.errors import Tampered
from governance.records import as_object, json_object
from governance.statements import open_envelope, read_statement, sign, statement

MODEL_SIGNING = "https://model_signing/signature/v1.0"
SIGNATURE_FILE = "model.sig"
SERIALIZATION: dict[str, Json] = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


def sign_model(folder: Path, signer: Signer, *, name: str, ignored: Collection[str]) -> bytes:
    """Return the signature of the model in a folder.

    Args:
        folder: of the model.
        signer: an ECDSA P-256 key; the format knows no Ed25519.
        name: what the statement calls the model.
        ignored: paths inside the folder that are no part of it, folders with all they hold.

    Raises:
        Tampered: the folder holds a link or something that is no regular file.
    """
    digests = model_digests(folder, ignored)
    predicate: dict[str, Json] = {
        "serialization": {**SERIALIZATION, "ignore_paths": sorted(ignored)},
        "resources": [
            {"name": path, "algorithm": "sha256", "digest": found}
            for path, found in digests.items()
        ],
    }
    payload = statement(MODEL_SIGNING, subjects={name: _root(digests)}, predicate=predicate)
    bundle = json_object(sign(payload, signer), "a Sigstore bundle")
    bundle["verificationMaterial"]["publicKey"]["hint"] = _hint(signer.public_key)
    return canonical(bundle)


def check_model(
    folder: Path,
    signature: bytes,
    keys: Sequence[SSlibKey],
    *,
    digest_of: Callable[[Path], str] = file_sha256,
) -> frozenset[str]:
    """Hold the model in a folder to its signature, and return the paths that it ignores.

    Raises:
        Refused: no key given signed it.
        Tampered: it is no model signature, or a file was edited, removed, added or is a link.
    """
    # (1) A key we trust signed exactly these bytes.
    payload = open_envelope(signature, keys)
    subjects, predicate = read_statement(payload, MODEL_SIGNING)
    signed, ignored = _read(predicate)
    # (2) The list is the one that the statement's subject sums up.
    if list(subjects.values()) != [_root(signed)]:
        raise Tampered("model (2): the digest of the list of files is not the one signed.")
    found = model_digests(folder, ignored, digest_of)
    # (3) Each file listed is there, and (4) no other one is.
    for path in sorted(signed.keys() ^ found.keys()):
        what = "(3): {} is gone" if path in signed else "(4): {} was added"
        raise Tampered(f"model {what.format(printable(path))}; ask for the model as signed.")
    # (5) Each is the one signed, byte for byte.
    for path, expected in signed.items():
        if found[path] != expected:
            raise Tampered(f"model (5): {printable(path)} is not the file that was signed.")
    return ignored


def model_digests(
    folder: Path, ignored: Collection[str], digest_of: Callable[[Path], str] = file_sha256
) -> dict[str, str]:
    """Return the SHA-256 of each file of a model by its path, in the order of paths.

    Raises:
        Tampered: there is a link, or something that is no regular file.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Tampered(f"The model holds {printable(str(name))}, which is no regular file.")
        if path.is_file() and not {str(name), *map(str, name.parents)} & set(ignored):
            found[str(name)] = digest_of(path)
    return dict(sorted(found.items()))


def _read(predicate: Mapping[str, Any]) -> tuple[dict[str, str], frozenset[str]]:
    """Return digests by path and ignored paths of a predicate whose signature was verified."""
    try:
        how = dict(as_object(predicate["serialization"], "a serialization"))
        ignored = frozenset(str(path) for path in how.pop("ignore_paths", ()))
        resources = [as_object(row, "a resource") for row in predicate["resources"]]
        signed = {str(row["name"]): str(row["digest"]) for row in resources}
        sha256_only = {row["algorithm"] for row in resources} <= {"sha256"}
    except (KeyError, TypeError) as fault:
        raise Tampered(f"The model signature lacks or adds a field: {fault}.") from None
    if how != SERIALIZATION or not sha256_only or len(signed) != len(resources):
        raise Tampered(
            "The model was signed in another way than file by file with SHA-256 and without links; "
            "verify it with `model_signing verify key`."
        )
    return signed, ignored


def _root(digests: Mapping[str, str]) -> str:
    """Return the digest over all digests, in the order they are listed in."""
    try:
        return sha256(b"".join(bytes.fromhex(found) for found in digests.values()))
    except ValueError:
        raise Tampered("A digest in the model signature is no SHA-256 in hex.") from None


def _hint(key: Key) -> str:
    """Return the SHA-256 of the key's PEM, by which the foreign tool knows the key."""
    public = load_pem_public_key(str(key.keyval["public"]).encode())
    return sha256(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
