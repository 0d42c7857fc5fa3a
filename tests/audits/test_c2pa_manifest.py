import io
import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from c2pa import Builder, C2paSignerInfo, Signer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from audits.licence import LicenceAudit
from audits.rights.c2pa_manifest import NO_MANIFEST, manifest_of, optouts_in
from audits.rights.segments import segments_of
from governance.images import decode
from made import measured_by

MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
USES = {"cawg.ai_training": {"use": "allowed"}, "cawg.data_mining": {"use": "constrained"},
        "cawg.ai_generative_training": {"use": "notAllowed"}}  # fmt: skip
ASSERTIONS = (
    {"label": "c2pa.actions.v2", "data": {"actions": [
        {"action": "c2pa.created", "digitalSourceType": MADE, "softwareAgent": {"name": "GPT-4o"}},
    ]}},
    {"label": "cawg.training-mining", "data": {"entries": USES}},
    {"label": "stds.schema-org.CreativeWork", "data": {
        "@context": "http://schema.org", "@type": "CreativeWork",
        "author": [{"@type": "Person", "name": "Asha Example"}],
        "license": "https://creativecommons.org/licenses/by/4.0/",
    }},
)  # fmt: skip


@cache
def signer():
    """A certificate of our own that nobody trusts, with its key."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
                   x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("root", "leaf")
    ]  # fmt: skip
    now = datetime.now(UTC)
    chain = [
        x509.CertificateBuilder().subject_name(name).issuer_name(names[0])
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()),
                       critical=False)
        .add_extension(x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=root, crl_sign=root,
            encipher_only=False, decipher_only=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]),
                       critical=False)
        .sign(keys[0], hashes.SHA256())
        for key, name, root in zip(keys, names, (True, False), strict=True)
    ]  # fmt: skip
    certificates = b"".join(c.public_bytes(Encoding.PEM) for c in reversed(chain))
    key = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return C2paSignerInfo(b"es256", certificates, key, None)


def picture(form="JPEG", **options):
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), (10, 20, 30)).save(stream, form, **options)
    return stream.getvalue()


@cache
def signed(form="JPEG"):
    return with_manifest(form, ASSERTIONS)


def with_manifest(form, assertions):
    told = {"claim_generator_info": [{"name": "test app", "version": "1"}],
            "assertions": list(assertions)}  # fmt: skip
    out = io.BytesIO()
    with Builder(json.dumps(told)) as builder, Signer.from_info(signer()) as own:
        builder.sign(own, f"image/{form.lower()}", io.BytesIO(picture(form)), out)
    return out.getvalue()


def read(data):
    return manifest_of(data, segments_of(data))


def edited(data):
    """Change one byte of the pixels after signing."""
    return data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]


def broken(data):
    """Overwrite the labels of the manifest store."""
    at = data.find(b"jumb") + 40
    return data[:at] + bytes(20) + data[at + 20 :]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_manifest_that_verifies_is_read_and_its_signer_is_nobody_we_trust(form):
    manifest = read(signed(form))
    assert manifest.state == "untrusted"
    assert manifest.generator == "test app"
    assert manifest.training == (
        "cawg.ai_generative_training=notAllowed",
        "cawg.ai_training=allowed",
        "cawg.data_mining=constrained",
    )
    assert list(optouts_in(manifest)) == [
        "cawg:ai_generative_training",
        "cawg:data_mining constrained",
    ]
    assert (manifest.made_by_model, manifest.agents) == (True, ("GPT-4o",))


def test_an_edited_file_permits_and_licenses_nothing_and_still_forbids():
    data = edited(signed())
    manifest = read(data)
    assert manifest.state == "invalid"
    assert "cawg.ai_training=allowed" not in manifest.training
    assert list(optouts_in(manifest)) == list(optouts_in(read(signed())))
    (row,) = measured_by(LicenceAudit(), {}, pictures=[decode(data)], images=[data])
    assert (row["licence_claims"], row["licence_unrecognised"]) == ([], True)
    assert (row["credit"], row["c2pa_state"]) == (None, "invalid")


def test_what_a_manifest_says_of_rights_and_origin_is_a_claim_of_the_file():
    data = signed()
    (row,) = measured_by(
        LicenceAudit(), {"generator": "SDXL"}, pictures=[decode(data)], images=[data]
    )
    assert row["licence_claims"] == ["CC-BY-4.0"]
    assert row["licence_evidence"] == [
        "file cc:license: https://creativecommons.org/licenses/by/4.0/"
    ]
    assert row["credit"] == "Asha Example"
    assert row["generator_id"] == "gpt-4o + stable-diffusion-xl", "both made it; both terms bind"


def test_a_manifest_that_cannot_be_read_counts_as_an_opt_out():
    manifest = read(broken(signed()))
    assert manifest.state == "unreadable"
    assert list(optouts_in(manifest)) == ["c2pa:unreadable"]


@pytest.mark.parametrize(
    "entries",
    [
        {"cawg.ai_training": "no"}, {"cawg.\u202ex": {"use": "notAllowed"}},
        {"cawg.ai_training": {"use": "if you ask " * 99}}, [], None, {"cawg.ai_training": None},
    ],
    ids=["text", "odd use", "odd answer", "list", "null", "null entry"],
)  # fmt: skip
def test_hostile_assertions_name_no_finding_and_allow_nothing(entries):
    hostile = {"label": "cawg.training-mining", "data": {"entries": entries}}
    signals = list(optouts_in(read(with_manifest("JPEG", (ASSERTIONS[0], hostile)))))
    assert all(len(signal) < 60 and signal.isprintable() for signal in signals)
    assert bool(signals) is isinstance(entries, dict)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8", b"\xff\xd8\xff\xeb\0\2", b"jumb c2pa", b"RIFF jumb c2pa WEBP", picture(),
     picture("PNG")],
    ids=["nothing", "start", "empty segment", "marks", "marks in a form", "JPEG", "PNG"],
)  # fmt: skip
def test_bytes_without_a_manifest_have_none_or_an_unreadable_one(data):
    assert read(data).state in {"none", "unreadable"}
    if b"jumb" not in data and b"\xeb" not in data:
        assert read(data) is NO_MANIFEST


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_an_address_of_a_manifest_is_named_and_never_fetched(form):
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        threading.Thread(target=_accept, args=(server, asked), daemon=True).start()
        link = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
        xmp = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-'
            'rdf-syntax-ns#"><rdf:Description xmlns:dcterms="http://purl.org/dc/terms/" '
            f'dcterms:provenance="{link}"/></rdf:RDF></x:xmpmeta>'
        )
        data = picture(form, xmp=xmp.encode())
        (row,) = measured_by(LicenceAudit(), {}, pictures=[decode(data)], images=[data])
    assert row["c2pa_state"] == "remote"
    assert asked == []


def _accept(server, asked):
    try:
        asked.append(server.accept())
    except OSError:
        return
