"""Identifiers that are nobody's, written in ways real ones are: for tables and tests.

All come from a seeded generator, so anybody draws the same. Does not see: whether some office has
issued such a number by chance.
"""

import random
from dataclasses import dataclass

from audits.identity.check_digits import (
    GSTIN_DIGITS,
    has_gstin_digit,
    has_luhn_digit,
    has_verhoeff_digit,
)
from audits.identity.identifier_kinds import KINDS

STYLES = ("named", "form", "bare")  # beside a word; in a form of its own; neither
FORMLESS = frozenset({"passport_in", "voter_id", "pin_code"})  # other things are written so
ALWAYS_FORMED = frozenset({"driving_licence_in", "email", "gstin", "ifsc"})  # nothing else is
PLAIN = {kind.name: kind.plain for kind in KINDS}
WORDS = {  # what stands before a value where it is named
    "aadhaar": "Aadhaar", "pan": "PAN", "passport_in": "passport", "voter_id": "voter id",
    "driving_licence_in": "driving licence", "vehicle_in": "vehicle", "gstin": "GSTIN",
    "upi": "UPI", "ifsc": "IFSC", "phone": "phone", "email": "e-mail", "pin_code": "PIN code",
    "payment_card": "card",
}  # fmt: skip
CHECKS = {
    "aadhaar": has_verhoeff_digit, "payment_card": has_luhn_digit, "gstin": has_gstin_digit,
}  # fmt: skip
STATES = ("MH", "DL", "KA", "TN", "WB")
UPPER, DIGITS = "ABCDEFGHJKLMNPRSTUVWXY", "0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A text with one identifier in it, how it is written there, and whether it is valid."""

    text: str
    kind: str
    value: str
    style: str
    valid: bool


def styles_of(kind: str) -> tuple[str, ...]:
    """Return the ways in which a kind can be written."""
    without = {"form"} if kind in FORMLESS else {"bare"} if kind in ALWAYS_FORMED else set[str]()
    return tuple(style for style in STYLES if style not in without)


def planted(template: str, kind: str, style: str, *, valid: bool, rng: random.Random) -> Planted:
    """Return a template, which holds "{}" once, with an invented identifier in it."""
    value = _checked(kind, _number(kind, rng), valid=valid, rng=rng)
    own = style == "form" or (style == "named" and rng.random() < 1 / 2)
    said = _in_form(kind, value) if own else _bare(kind, value)
    if style == "named":
        said = f"{WORDS[kind]} {said}"
    value = PLAIN[kind](said.removeprefix(f"{WORDS[kind]} "))
    return Planted(
        text=template.replace("{}", said), kind=kind, value=value, style=style, valid=valid
    )


def _checked(kind: str, value: str, *, valid: bool, rng: random.Random) -> str:
    """Return a value whose last character checks the others, or fails to; as it is without one."""
    if kind not in CHECKS:
        return value
    last = GSTIN_DIGITS if kind == "gstin" else DIGITS
    return rng.choice([v for end in last if CHECKS[kind](v := value[:-1] + end) is valid])


def _in_form(kind: str, value: str) -> str:
    if kind in {"aadhaar", "payment_card"}:
        return " ".join(value[at : at + 4] for at in range(0, len(value), 4))
    return f"+91 {value[:5]} {value[5:]}" if kind == "phone" else value


def _bare(kind: str, value: str) -> str:
    """Return a value without what sets its form apart from others."""
    match kind:
        case "pan":
            return value.lower()
        case "vehicle_in":
            return f"{value[:2]} {value[2:4]} {value[4:6]} {value[6:]}"
        case "upi":
            return value.partition("@")[0] + "@invented"
        case _:
            return value


def _number(kind: str, rng: random.Random) -> str:
    """Return an invented identifier whose last character is not yet a check digit."""

    def some(letters: str, count: int) -> str:
        return "".join(rng.choices(letters, k=count))

    pan = f"{some(UPPER, 3)}{rng.choice('PCHFT')}{some(UPPER, 1)}{some(DIGITS, 4)}{some(UPPER, 1)}"
    place, year = f"{rng.choice(STATES)}{rng.randint(1, 99):02}", rng.randint(1990, 2025)
    name = some("asharvi", 6)
    return {
        "aadhaar": rng.choice("23456789") + some(DIGITS, 11),
        "pan": pan,
        "passport_in": some(UPPER, 1) + rng.choice("123456789") + some(DIGITS, 6),
        "voter_id": some(UPPER, 3) + some(DIGITS, 7),
        "driving_licence_in": f"{place} {year}{some(DIGITS, 7)}",
        "vehicle_in": f"{place}{some(UPPER, 2)}{rng.randint(1, 9999):04}",
        "gstin": f"{rng.randint(1, 37):02}{pan}1Z0",
        "upi": f"{name}@{rng.choice(['okhdfcbank', 'ybl', 'paytm'])}",
        "ifsc": f"{rng.choice(['SBIN', 'HDFC', 'ICIC'])}0{some(DIGITS, 6)}",
        "phone": rng.choice("6789") + some(DIGITS, 9),
        "email": f"{name}@{rng.choice(['example.in', 'mail.example.org'])}",
        "pin_code": rng.choice("12345678") + some(DIGITS, 5),
        "payment_card": rng.choice(["411", "511", "601", "651"]) + some(DIGITS, 13),
    }[kind]
