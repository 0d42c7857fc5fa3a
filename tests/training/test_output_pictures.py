"""What leaves the door: pictures that were looked at, with their origin, label and signature."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from PIL import Image

from app.draw import blocklist
from audits.rights.c2pa_manifest import manifest_of
from audits.rights.embedded import xmp_of
from audits.rights.lineage import MADE_BY_MODEL as READ_AS_MADE
from audits.rights.segments import segments_of
from governance.errors import EvidenceMissing, UsageError
from governance.images import decode
from training.output.check import PictureCheck
from training.output.door import Door
from training.output.label import labelled, letter_px
from training.output.manifest import CHAIN_FILE, KEY_FILE, Signing
from training.output.policy import POLICY_FILE, SHIPPED, policy_sha256, write_policy
from training.output.provenance import MADE_BY_MODEL, Origin
from training.output.refusal import Refusal

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FORMS = ("png", "jpeg")
ORIGIN = Origin(run="run-1", weights="a" * 64, card="b" * 64, policy="c" * 64)
PROMPTS = ("a house", "a nude figure", "a child at the sea", "a boat")


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def scoring(*scores: float) -> PictureCheck:
    """Return a check whose detector gives these scores, one a picture."""
    left = list(scores)
    return PictureCheck(detector=lambda _image: {"EXPOSED": left.pop(0)}, name="given")


def through(check: PictureCheck | None) -> tuple[dict[int, object], list[int]]:
    """Return what comes of each prompt, and which were drawn."""
    drawn: list[int] = []

    def artist(places):
        for place in places:
            drawn.append(place)
            yield Image.new("RGB", (8, 8), (place, 0, 0))

    door = Door(blocklist=blocklist(), check=check, salt=b"s" * 32)
    return dict(door.through(PROMPTS, artist)), drawn


def test_a_refused_prompt_is_never_drawn() -> None:
    came, drawn = through(None)
    assert drawn == [0, 2, 3]
    assert came[1].rule == "OUT-SEXUAL"
    assert [came[n].getpixel((0, 0))[0] for n in drawn] == drawn


def test_where_all_is_refused_the_artist_is_not_asked() -> None:
    door = Door(blocklist=blocklist(), check=None, salt=b"s" * 32)
    [(_, refusal)] = door.through(("naked",), lambda _: pytest.fail("it was asked"))
    assert refusal.at == "prompt"


@pytest.mark.parametrize(
    ("scores", "rules"),
    [
        ((0.44, 0.19, 0.44), [None, None, None]),
        ((0.45, 0.0, 0.0), ["OUT-EXPOSED", None, None]),
        ((0.0, 0.2, 0.2), [None, "OUT-EXPOSED-MINOR", None]),
        ((float("nan"), 0.0, 0.0), ["OUT-EXPOSED", None, None]),
    ],
    ids=["below", "at the score", "a minor is named", "no number"],
)
def test_a_picture_is_refused_from_its_score_on(scores, rules) -> None:
    came, _ = through(scoring(*scores))
    said = [came[n].rule if isinstance(came[n], Refusal) else None for n in (0, 2, 3)]
    assert said == rules
    assert all(came[n].at == "picture" for n in (0, 2, 3) if isinstance(came[n], Refusal))


def test_a_detector_that_sees_nothing_lets_a_picture_through() -> None:
    check = PictureCheck(detector=lambda _image: {}, name="none")
    assert check.against(Image.new("RGB", (8, 8)), minor=True) is None


@pytest.mark.parametrize("form", FORMS)
def test_a_file_states_its_origin_to_the_reader_of_the_audits(picture, form) -> None:
    said = xmp_of(decode(ORIGIN.encoded(picture, form)))
    assert said["Iptc4xmpExt:DigitalSourceType"] == (MADE_BY_MODEL,)
    assert said["Iptc4xmpExt:AISystemUsed"] == ("Pramana",)
    assert said["Iptc4xmpExt:AISystemVersionUsed"] == ("a" * 64,)
    assert said["dc:creator"][0].startswith("Pramana ")
    assert READ_AS_MADE in MADE_BY_MODEL.lower()


@pytest.mark.parametrize("form", FORMS)
def test_a_file_names_its_run_card_policy_and_pixels(picture, form) -> None:
    packet = decode(ORIGIN.encoded(picture, form)).xmp.decode()
    assert "<pramana:run>run-1</pramana:run>" in packet
    assert f"<pramana:card>{'b' * 64}</pramana:card>" in packet
    assert f"<pramana:policy>{'c' * 64}</pramana:policy>" in packet
    other = ORIGIN.packet(picture.rotate(90, expand=True)).decode()
    assert packet.split("xmp.did:")[1][:32] != other.split("xmp.did:")[1][:32]


def test_what_is_not_known_is_left_out_and_signs_are_escaped(picture) -> None:
    hostile = Origin(run="<&>", weights="", card="", policy="")
    packet = hostile.packet(picture).decode()
    assert "<pramana:run>&lt;&amp;&gt;</pramana:run>" in packet
    assert "pramana:card" not in packet
    assert xmp_of(decode(hostile.encoded(picture)))["dc:creator"]


def test_png_keeps_every_pixel(picture) -> None:
    with Image.open(io.BytesIO(ORIGIN.encoded(picture))) as read:
        assert read.tobytes() == picture.tobytes()


@pytest.mark.parametrize("form", FORMS)
def test_saving_again_strips_the_origin(picture, form) -> None:
    """So the documents say; a marking that survives this would be a watermark, and is none."""
    again = io.BytesIO()
    with Image.open(io.BytesIO(ORIGIN.encoded(picture, form))) as read:
        Image.fromarray(np.asarray(read)).save(again, "JPEG")
    assert not xmp_of(decode(again.getvalue()))


@pytest.mark.parametrize("form", FORMS)
def test_a_signed_manifest_is_read_as_made_by_a_model(tmp_path: Path, picture, form) -> None:
    signing = Signing.local(tmp_path, now=datetime.now(UTC))
    data = signing.signed(ORIGIN.encoded(picture, form), ORIGIN, form)
    read = manifest_of(data, segments_of(data))
    assert read.state == "untrusted"  # it verifies; nobody knows the signer
    assert read.made_by_model
    assert (read.generator, read.agents) == ("Pramana", ("Pramana",))
    assert xmp_of(decode(data))["Iptc4xmpExt:DigitalSourceType"] == (MADE_BY_MODEL,)
    at = data.rindex(b"IDAT") + 40 if form == "png" else len(data) - 40
    forged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert manifest_of(forged, segments_of(forged)).state == "invalid"


def test_the_local_chain_is_kept_and_made_anew_once_it_has_ended(tmp_path: Path) -> None:
    first = Signing.local(tmp_path, now=NOW)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert Signing.local(tmp_path, now=NOW + timedelta(days=364)) == first
    assert Signing.local(tmp_path, now=NOW + timedelta(days=366)) != first
    leaf, root = x509.load_pem_x509_certificates(first.chain)
    leaf.verify_directly_issued_by(root)
    assert "self-issued" in leaf.subject.rfc4514_string()
    assert repr(first.key) not in repr(first)


def test_a_chain_of_ones_own_is_read_by_path_or_missed(tmp_path: Path) -> None:
    made = Signing.local(tmp_path, now=NOW)
    assert Signing.at(tmp_path / CHAIN_FILE, tmp_path / KEY_FILE) == made
    with pytest.raises(EvidenceMissing, match="not there"):
        Signing.at(tmp_path / "none.pem", tmp_path / KEY_FILE)


def test_a_chain_that_c2pa_does_not_take_is_refused(tmp_path: Path, picture) -> None:
    made = Signing.local(tmp_path, now=datetime.now(UTC))
    root = made.chain[made.chain.rindex(b"-----BEGIN CERTIFICATE") :]
    for wrong in (Signing(chain=b"no PEM", key=made.key), Signing(chain=root, key=made.key)):
        with pytest.raises(UsageError, match="does not sign with this certificate"):
            wrong.signed(ORIGIN.encoded(picture), ORIGIN, "png")


@pytest.mark.parametrize(
    ("size", "least"),
    [((16, 16), 7), ((32, 32), 7), ((512, 512), 26), ((1024, 600), 30), ((600, 1024), 30)],
    ids=str,
)
def test_the_label_is_as_high_as_the_chinese_standard_asks(size, least) -> None:
    assert letter_px(size) == least
    image = labelled(Image.new("RGB", size, (0, 128, 0)))
    assert image.size == size
    ink = (np.asarray(image).min(axis=2) > 200).any(axis=1)
    assert ink.sum() >= least or size[1] < 20  # rows that hold white letters
    assert ink.any()
    assert tuple(image.getpixel((size[0] - 1, 0))) == (0, 128, 0)


def test_the_label_survives_a_coarse_jpeg() -> None:
    image = labelled(Image.new("RGB", (256, 256), (90, 120, 200)))
    coarse = io.BytesIO()
    image.save(coarse, "JPEG", quality=30)
    with Image.open(coarse) as read:
        apart = np.abs(np.asarray(read).astype(int) - np.asarray(image).astype(int))
    corner = apart[-24:, :60]
    assert corner.mean() < 12


def test_the_policy_ships_beside_the_weights_and_names_its_bans(tmp_path: Path) -> None:
    assert policy_sha256(tmp_path) == ""
    write_policy(tmp_path)
    assert (tmp_path / POLICY_FILE).read_bytes() == SHIPPED.read_bytes()
    assert len(policy_sha256(tmp_path)) == 64
    text = SHIPPED.read_text("utf-8")
    for ban in ("sexualise a child", "undress", "deepfakes", "deceive", "discriminate"):
        assert ban in text
    for word in ("CSAM-free", "compliant"):
        assert word not in text
