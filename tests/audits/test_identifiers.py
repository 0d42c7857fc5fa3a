import json
import time

import pyarrow.parquet as pq
import pytest

from audits.identifiers import has_gstin_digit, has_luhn_digit, has_verhoeff_digit, kinds_in


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Aadhaar 2341 2341 2346", "aadhaar"),
        ("2341 2341 2346", "aadhaar"),
        ("2341-2341-2346", "aadhaar"),
        ("uid: 234123412346", "aadhaar"),
        ("आधार २३४१२३४१२३४६", "aadhaar"),
        ("ABCPE1234F", "pan"),
        ("pan card abcpe1234f", "pan"),
        ("GSTIN 27AAPFU0939F1ZV", "gstin"),
        ("her passport A1234567", "passport_in"),
        ("voter id ABC1234567", "voter_id"),
        ("DL-1420110012345", "driving_licence_in"),
        ("MH12 20110012345", "driving_licence_in"),
        ("KA01AB1234", "vehicle_in"),
        ("a parked car, DL 8C AF 5031", "vehicle_in"),
        ("22BH1234AA", "vehicle_in"),
        ("asha@okhdfcbank", "upi"),
        ("pay by upi to asha@somebank", "upi"),
        ("SBIN0001234", "ifsc"),
        ("IFSC ABCD0123456", "ifsc"),
        ("+91 98765 43210", "phone"),
        ("98765 43210", "phone"),
        ("09876543210", "phone"),
        ("call 9876543210", "phone"),
        ("call me at (96) 627-277", "phone"),
        ("+44 20 7946 0958", "phone"),
        ("फोन ९८७६५४३२१०", "phone"),
        ("98\u200b765 4\u200b3210", "phone"),
        ("asha@example.in", "email"),
        ("4111 1111 1111 1111", "payment_card"),
        ("card 4111111111111111", "payment_card"),
        ("PIN code 560001", "pin_code"),
    ],
)
def test_an_identifier_is_found_once_as_its_kind(text, kind):
    assert kinds_in(text) == {kind: 1}


@pytest.mark.parametrize(
    "text",
    ["2341 2341 2345", "234123412346", "27AAPFU0939F1ZX", "A1234567", "ABC1234567", "abcpe1234f",
     "MP 3 HD 2024", "me@home", "@handle", "9876543210", "560001", "4111 1111 1111 1112",
     "4111111111111111", "IMG_20200101_123456.jpg", "2020-01-01 12:34:56", "33942252138",
     "1,000,000 people on route 66", "a bus in 2019 and 2021", "1234 5678 9012 3456 7890",
     "deed of 2341 2341 2346 2", "a man on a horse"],
)  # fmt: skip
def test_a_number_that_proves_nothing_is_none(text):
    assert kinds_in(text) == {}


def test_identifiers_in_one_text_are_counted_each():
    text = "Asha, PAN ABCPE1234F, 98765 43210 or 98765 43211, asha@example.in"
    assert kinds_in(text) == {"pan": 1, "phone": 2, "email": 1}


@pytest.mark.parametrize(
    ("check", "good"),
    [
        (has_verhoeff_digit, "2363"),  # the example of Verhoeff 1969, as in ISO 7064 texts
        (has_verhoeff_digit, "123451"),
        (has_luhn_digit, "79927398713"),
        (has_gstin_digit, "27AAPFU0939F1ZV"),
        (has_gstin_digit, "29AAGCB7383J1Z4"),
    ],
)
def test_check_digits_hold_for_published_numbers_and_for_no_neighbour(check, good):
    assert check(good)
    for place, letter in enumerate(good):
        if letter.isdigit():
            changed = good[:place] + str((int(letter) + 1) % 10) + good[place + 1 :]
            assert not check(changed)


@pytest.mark.parametrize(
    "text",
    ["1 " * 10000, "9-" * 10000, "a.b@" * 5000, "(12) " * 4000, "+1 22 " * 3000, "KA 1 A " * 3000,
     "x@" + "a." * 9000, "\u0967 " * 10000],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_hostile_text_is_read_quickly(text):
    started = time.process_time()
    kinds_in(text)
    assert time.process_time() - started < 2.0


@pytest.mark.shared
def test_marked_spans_are_found_and_nothing_else(shared):
    """18 phones, cards and addresses of 100 texts: all found, none invented."""
    kinds = {"PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "CREDIT_CARD": "payment_card"}
    for row in json.loads((shared / "text" / "pii_spans_small.json").read_text()):
        marked = {kinds[s["entity_type"]] for s in row["spans"] if s["entity_type"] in kinds}
        assert set(kinds_in(row["full_text"])) == marked


@pytest.mark.shared
def test_twenty_thousand_ordinary_captions_raise_no_alarm(shared):
    table = pq.read_table(shared / "licences" / "coco_val2017_captions.parquet")
    captions = [caption for row in table["captions"].to_pylist() for caption in row]
    assert len(captions) == 20_027
    assert [caption for caption in captions if kinds_in(caption)] == []
