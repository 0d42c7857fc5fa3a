"""C2PA: a signed manifest in the picture file that says a trained model made it.

The local chain is made here and is known to nobody: it proves that the picture was not changed
since it was signed, not who signed. Viewers show such a signer as not recognised or untrusted;
a certificate of one's own, from an authority on the C2PA trust list, is given by its path.

Does not see: the picture once the manifest is taken out of it. There is no time stamp (that asks
somebody on the network), so what is signed is not believed after the certificate has ended.
"""

import io
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from governance.canon import Json, canonical, write_whole
from governance.errors import EvidenceMissing, UsageError
from training.output.provenance import MADE_BY_MODEL, SYSTEM, Form, Origin

CHAIN_FILE, KEY_FILE = "c2pa-chain.pem", "c2pa-key.pem"
LOCAL = "Pramana local test certificate, self-issued"
LASTS = timedelta(days=365)
SETTINGS = {"builder": {"thumbnail": {"enabled": False}}}  # 40 kB a picture, told by the picture
MIME = {"png": "image/png", "jpeg": "image/jpeg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """A certificate chain, leaf first, and the key of its leaf, both as PEM; ES256 on P-256."""

    chain: bytes
    key: bytes = field(repr=False)

    @classmethod
    def at(cls, chain: Path, key: Path) -> Self:
        """Read a chain and its key. Raises EvidenceMissing."""
        if not chain.is_file() or not key.is_file():
            raise EvidenceMissing(
                "The C2PA certificate chain or its key is not there; give both as PEM files."
            )
        return cls(chain=chain.read_bytes(), key=key.read_bytes())

    @classmethod
    def local(cls, folder: Path, *, now: datetime) -> Self:
        """Return the local chain of a folder, making it where there is none or it has ended."""
        chain, key = folder / CHAIN_FILE, folder / KEY_FILE
        if chain.is_file() and key.is_file() and _ends(chain.read_bytes()) > now:
            return cls.at(chain, key)
        made = _made(now)
        write_whole(key, made.key, mode=0o600)
        write_whole(chain, made.chain)
        return cls(chain=made.chain, key=made.key)

    def signed(self, data: bytes, origin: Origin, form: Form) -> bytes:
        """Return a picture file with a manifest in it. Source: C2PA 2.1, actions and claim.

        Raises:
            UsageError: the chain or its key is not one that C2PA takes.
        """
        from c2pa import (  # noqa: PLC0415  heavy
            Builder,
            C2paError,
            C2paSignerInfo,
            Context,
            Settings,
            Signer,
        )

        signed, context = io.BytesIO(), Context(Settings.from_dict(SETTINGS))
        try:
            info = C2paSignerInfo(b"es256", self.chain, self.key, None)
            with Signer.from_info(info) as signer, Builder(_manifest(origin), context) as builder:
                builder.sign(signer, MIME[form], io.BytesIO(data), signed)
        except C2paError as fault:
            raise UsageError(
                f"C2PA does not sign with this certificate ({type(fault).__name__}); give a chain, "
                "leaf first, and the P-256 key of its leaf, PKCS #8."
            ) from None
        return signed.getvalue()


def _manifest(origin: Origin) -> str:
    name, _, version = origin.tool.partition(" ")
    created: dict[str, Json] = {
        "action": "c2pa.created",
        "digitalSourceType": MADE_BY_MODEL,
        "softwareAgent": {"name": name, "version": version},
        "parameters": {"run": origin.run, "weights": origin.weights, "card": origin.card},
    }
    told: dict[str, Json] = {
        "claim_generator_info": [{"name": name, "version": version}],
        "title": "a picture drawn by a model",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }
    return canonical(told).decode()


def _ends(chain: bytes) -> datetime:
    return x509.load_pem_x509_certificate(chain).not_valid_after_utc


def _made(now: datetime) -> Signing:
    """Return a new root and the leaf it issued. Source: C2PA 2.1, section 14.5 (profiles)."""
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, leaf_name = _name(f"{LOCAL}, root"), _name(LOCAL)
    constraint = x509.BasicConstraints(ca=True, path_length=0)
    root = (
        _begun(root_name, root_name, root_key, now=now)
        .add_extension(constraint, critical=True)
        .add_extension(_usage(issues=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    of_root = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    leaf = (
        _begun(leaf_name, root_name, leaf_key, now=now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(issues=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
        .add_extension(of_root, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    key = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Signing(chain=b"".join(c.public_bytes(Encoding.PEM) for c in (leaf, root)), key=key)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, now: datetime
) -> x509.CertificateBuilder:
    of_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + LASTS)
        .add_extension(of_key, critical=False)
    )


def _name(common: str) -> x509.Name:
    """Return a name; the organisation is what viewers show of a signer."""
    kinds = ((NameOID.ORGANIZATION_NAME, f"{SYSTEM} (self-issued)"), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(kind, said) for kind, said in kinds])


def _usage(*, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issues,
        key_cert_sign=issues,
        crl_sign=issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
