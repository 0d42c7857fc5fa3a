import random
import time
from collections import Counter

import pytest
from invented import CHECKS, WORDS, planted, styles_of
from personal_answers import (
    captions_of,
    filled,
    marked_spans,
    ours,
    score_of,
    tallies,
)

from audits.identity.check_digits import has_gstin_digit, has_luhn_digit, has_verhoeff_digit
from audits.identity.identifiers import SUPPORTED, Identifier, identifiers_in


def kinds_in(text):
    return Counter(one.kind for one in identifiers_in(text) if one.score >= SUPPORTED)


def best(text):
    return {one.kind: one.score for one in identifiers_in(text)}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Aadhaar 2341 2341 2346", "aadhaar"),
        ("2341 2341 2346", "aadhaar"),
        ("2341-2341-2346", "aadhaar"),
        ("234123412346", "aadhaar"),
        ("uid: 234123412346", "aadhaar"),
        ("आधार २३४१२३४१२३४६", "aadhaar"),
        ("ஆதார் ௨௩௪௧ ௨௩௪௧ ௨௩௪௬", "aadhaar"),
        ("আধার ২৩৪১ ২৩৪১ ২৩৪৬", "aadhaar"),
        (
            "aadhaar \uff12\uff13\uff14\uff11\uff12\uff13\uff14\uff11\uff12\uff13\uff14\uff16",
            "aadhaar",
        ),
        ("2341\u20132341\u20132346", "aadhaar"),
        ("2341\u00a0\u00a02341  2346", "aadhaar"),
        ("ABCPE1234F", "pan"),
        ("pan card abcpe1234f", "pan"),
        ("GSTIN 27AAPFU0939F1ZV", "gstin"),
        ("her passport A1234567", "passport_in"),
        ("voter id ABC1234567", "voter_id"),
        ("MP/16/123/456789", "voter_id"),
        ("DL-1420110012345", "driving_licence_in"),
        ("MH12 20110012345", "driving_licence_in"),
        ("driving licence RJ-13/DLC/12/123456", "driving_licence_in"),
        ("KA01AB1234", "vehicle_in"),
        ("a parked car, DL 8C AF 5031", "vehicle_in"),
        ("a parked car, dl 8c af 5031", "vehicle_in"),
        ("22BH1234AA", "vehicle_in"),
        ("asha@okhdfcbank", "upi"),
        ("pay asha@ybl.", "upi"),
        ("pay by upi to asha@somebank", "upi"),
        ("SBIN0001234", "ifsc"),
        ("IFSC ABCD0123456", "ifsc"),
        ("+91 98765 43210", "phone"),
        ("98765 43210", "phone"),
        ("09876543210", "phone"),
        ("call 9876543210", "phone"),
        ("call me at (96) 627-277", "phone"),
        ("+44 20 7946 0958", "phone"),
        ("fax 986.291.2294x751", "phone"),
        ("फोन ९८७६५४३२१०", "phone"),
        ("98\u200b765 4\u200b3210", "phone"),
        ("asha@example.in", "email"),
        ("4111 1111 1111 1111", "payment_card"),
        ("card 4111111111111111", "payment_card"),
        ("3782 822463 10005", "payment_card"),
        ("PIN code 560001", "pin_code"),
    ],
)
def test_an_identifier_is_found_once_as_its_kind(text, kind):
    assert kinds_in(text) == {kind: 1}


@pytest.mark.parametrize(
    "text",
    ["2341 2341 2345", "234123412345", "27AAPFU0939F1ZX", "A1234567", "ABC1234567", "abcpe1234f",
     "MP 3 HD 2024", "me@home", "@handle", "9876543210", "560001", "4111 1111 1111 1112",
     "4111111111111112", "IMG_20200101_123456.jpg", "2020-01-01 12:34:56", "33942252138",
     "1,000,000 people on route 66", "a bus in 2019 and 2021", "1234 5678 9012 3456 7890",
     "deed of 2341 2341 2346 2", "a man on a horse", "logo@2x.png", "see page 12, figure 3"],
)  # fmt: skip
def test_a_number_that_proves_nothing_is_none(text):
    assert kinds_in(text) == {}


@pytest.mark.parametrize(
    ("likelier", "less"),
    [
        ("aadhaar 2341 2341 2346", "2341 2341 2346"),
        ("2341 2341 2346", "234123412346"),
        ("234123412346", "aadhaar 234123412345"),
        ("aadhaar 2341 2341 2345", "2341 2341 2345"),
        ("2341 2341 2345", "234123412345"),
        ("GSTIN 27AAPFU0939F1ZV", "GSTIN 27AAPFU0939F1ZX"),
        ("card 4111111111111111", "card 4111111111111112"),
        ("passport A1234567", "A1234567"),
        ("phone 9876543210", "9876543210"),
        ("pan abcpe1234f", "abcpe1234f"),
        ("ABCPE1234F", "abcpe1234f"),
    ],
)
def test_the_more_speaks_for_a_number_the_higher_its_score(likelier, less):
    ((kind, high),), ((same, low),) = best(likelier).items(), best(less).items()
    assert kind == same
    assert high > low > 0


@pytest.mark.parametrize("kind", WORDS)
def test_valid_ones_are_found_and_those_whose_check_fails_score_lower(kind):
    rng = random.Random(kind)  # noqa: S311  no secret
    for style in styles_of(kind):
        for _ in range(20):
            good = planted("they wrote {} on the wall", kind, style, valid=True, rng=rng)
            found = {(one.kind, one.value): one.score for one in identifiers_in(good.text)}
            if style != "bare" or kind in CHECKS:
                assert found[kind, good.value] >= SUPPORTED
            if kind in CHECKS:
                bad = planted("they wrote {} on the wall", kind, style, valid=False, rng=rng)
                assert 0 < best(bad.text)[kind] < found[kind, good.value]
                assert kind not in kinds_in(bad.text)


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        ("aadhaar", ["2341 2341 2346", "2341-2341-2346", "aadhaar २३४१२३४१२३४६"]),
        ("phone", ["+91 98765 43210", "098765 43210", "call 9876543210", "0091 98765 43210"]),
        ("pan", ["ABCPE1234F", "pan abcpe1234f"]),
        ("email", ["Asha@Example.in", "asha@example.in"]),
        ("vehicle_in", ["KA01AB1234", "car KA 01 AB 1234", "KA-01-AB-1234"]),
    ],
)
def test_one_value_is_one_however_it_is_written(kind, spellings):
    found = [one for text in spellings for one in identifiers_in(text)]
    assert {one.kind for one in found} == {kind}
    assert len({one.value for one in found}) == 1


def test_a_value_does_not_show_in_what_is_printed():
    (one,) = identifiers_in("2341 2341 2346")
    assert isinstance(one, Identifier)
    assert "2341" not in repr(one)


def test_where_two_kinds_overlap_the_likelier_is_meant():
    assert kinds_in("phone 98765 43210, aadhaar 919876543216") == {"phone": 1, "aadhaar": 1}
    assert kinds_in("write to 9876543210@ybl") == {"upi": 1}
    assert kinds_in("MH12 20110012345") == {"driving_licence_in": 1}


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
     "x@" + "a." * 9000, "\u0967 " * 10000, "KA01AB1234 " * 2000, "98765 43210, " * 2000],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_hostile_text_is_read_quickly(text):
    started = time.process_time()
    identifiers_in(text)
    assert time.process_time() - started < 2.0


@pytest.mark.shared
def test_marked_spans_are_found_and_nothing_else(shared):
    """22 phones, cards and addresses of 100 texts: all found, none invented."""
    found = tallies(marked_spans(shared), ours)
    assert {kind: (row.there, row.found, row.invented) for kind, row in found.items()} == {
        "email": (2, 2, 0),
        "payment_card": (10, 10, 0),
        "phone": (10, 10, 0),
    }


@pytest.mark.shared
def test_every_valid_identifier_in_filled_templates_is_found_and_failures_score_lower(shared):
    cases = filled(shared)
    assert len(cases) == 1600
    valid = [case for case in cases if case.valid]
    surely = [case for case in valid if case.style != "bare" or case.kind in CHECKS]
    found = tallies([(case.text, [(case.kind, case.value)]) for case in surely], ours)
    assert set(found) == set(WORDS)
    assert all(row.found == row.there > 0 == row.invented for row in found.values())
    assert all(score_of(case) > 0 for case in valid if case.kind != "pin_code")
    for kind in CHECKS:
        for style in styles_of(kind):
            same = [case for case in cases if (case.kind, case.style) == (kind, style)]
            lowest = min(score_of(case) for case in same if case.valid)
            assert lowest > max(score_of(case) for case in same if not case.valid)


@pytest.mark.shared
def test_twenty_thousand_ordinary_captions_raise_no_alarm(shared):
    captions = captions_of(shared)
    assert len(captions) == 20_027
    assert [caption for caption in captions if identifiers_in(caption)] == []
