"""Identifiers of persons in a text: which kinds stand there, how often. Never the values.

A form counts by itself where it is its own proof (a check digit, a bank's prefix, grouping); else
only where a word near it says what it is. Checked are Aadhaar (Verhoeff), GSTIN (modulus 36) and
payment cards (Luhn).

Does not see: names, addresses, numbers written in words, or words in languages that stand not here.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

MAX_TEXT = 20_000  # characters of one text that are read
NEAR = 40  # characters on each side in which a word says what a number is
STATES = (  # the letters that begin a vehicle's or driver's number. Source: MoRTH state codes
    "AN|AP|AR|AS|BR|CG|CH|DD|DL|DN|GA|GJ|HP|HR|JH|JK|KA|KL|LA|LD|MH|ML|MN|MP|MZ|NL|OD|OR|PB|PY|RJ|"
    "SK|TG|TN|TR|TS|UA|UK|UP|WB"
)
BANKS = (  # IFSC prefixes common enough to stand without the word. Source: RBI list of IFSC
    "ANDB|BARB|BKID|CBIN|CNRB|FDRL|HDFC|ICIC|IDFB|IDIB|INDB|IOBA|KKBK|MAHB|PUNB|SBIN|UBIN|UCBA|"
    "UTIB|YESB"
)
UPI_HANDLES = (  # Source: NPCI list of third-party apps
    "abfspay|apl|axisb|axl|barodampay|cnrb|fbl|freecharge|ibl|ikwik|okaxis|okhdfcbank|okicici|oksbi|"
    "paytm|pnb|pthdfc|ptsbi|ptyes|rapl|sbi|upi|waaxis|wahdfcbank|waicici|wasbi|ybl|yapl"
)
GSTIN_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VERHOEFF = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)  # the permutation. Source: Verhoeff 1969, chapter 5
PHONE_DIGITS = range(8, 16)  # ITU-T E.164: at most 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of identifier: its form, the words that name it, and its checks.

    A match counts when `check` holds, and either `alone` holds or one of the words stands near.
    """

    name: str
    form: re.Pattern[str]
    words: re.Pattern[str] | None = None
    check: Callable[[str], bool] = bool
    alone: Callable[[str], bool] = bool


def kinds_in(text: str) -> Counter[str]:
    """Return how many identifiers of each kind stand in a text."""
    found: Counter[str] = Counter()
    said = _plain(text[:MAX_TEXT])
    if not re.search(r"[0-9@]", said):
        return found
    for kind in KINDS:
        for match in reversed([*kind.form.finditer(said)]):
            if not kind.check(match[0]) or not (kind.alone(match[0]) or _is_named(kind, match)):
                continue
            found[kind.name] += 1
            said = said[: match.start()] + "#" * len(match[0]) + said[match.end() :]
    return found


def has_verhoeff_digit(text: str) -> bool:
    """Say whether the last digit is the check digit of the others. Source: Verhoeff 1969."""
    check = 0
    for place, digit in enumerate(reversed(_digits(text))):
        value = int(digit)
        for _ in range(place % 8):
            value = VERHOEFF[value]
        check = _dihedral(check, value)
    return check == 0


def has_gstin_digit(text: str) -> bool:
    """Say whether the last of 15 characters checks the others. Source: GSTN, modulus 36."""
    values = [GSTIN_DIGITS.index(letter) for letter in text.upper()]
    parts = [divmod(v * (1 + place % 2), 36) for place, v in enumerate(values[:-1])]
    return (36 - sum(a + b for a, b in parts) % 36) % 36 == values[-1]


def has_luhn_digit(text: str) -> bool:
    """Say whether the last digit is the check digit of the others. Source: ISO/IEC 7812-1."""
    values = [int(digit) for digit in reversed(_digits(text))]
    doubled = (sum(divmod(2 * value, 10)) for value in values[1::2])
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def _dihedral(a: int, b: int) -> int:
    """Return the product of two elements of the dihedral group of order 10."""
    turned = (a - b if a > 4 else a + b) % 5  # noqa: PLR2004  five turns, five mirrors
    return turned if (a > 4) == (b > 4) else turned + 5  # noqa: PLR2004


def _plain(text: str) -> str:
    """Return a text in compatibility form, ASCII digits, without invisible characters."""
    if text.isascii():
        return text
    said = unicodedata.normalize("NFKC", text)
    return "".join(
        str(unicodedata.digit(c)) if c.isdecimal() else c
        for c in said
        if unicodedata.category(c) != "Cf"
    )


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _is_named(kind: Kind, match: re.Match[str]) -> bool:
    start, end = max(0, match.start() - NEAR), match.end() + NEAR
    return kind.words is not None and bool(kind.words.search(match.string[start:end]))


def _words(*terms: str) -> re.Pattern[str]:
    """Return a pattern for any of some words; Indic ones have no word boundary in `re`."""
    latin = "|".join(term for term in terms if term.isascii())
    other = "|".join(term for term in terms if not term.isascii())
    return re.compile(rf"\b(?:{latin})\b{'|' + other if other else ''}", re.IGNORECASE)


def _form(pattern: str, *, any_case: bool = False) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE if any_case else 0)


def _never(_: str) -> bool:
    return False


def _is_grouped(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}([ -])\d{4}(\1\d{4}){1,2}", text))


def _is_long_number(text: str) -> bool:
    return len(_digits(text)) in PHONE_DIGITS


def _is_indian_phone(text: str) -> bool:
    return bool(re.match(r"(?:0|91)", text) or re.search(r"\d{5}[ -]\d{5}$", text))


def _is_plate_without_gaps(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Z]{2}-?\d{2}-?[A-Z]{1,3}-?\d{4}|\d{2}BH\d{4}[A-Z]{1,2}", text))


_DIGIT_BEFORE, _DIGIT_AFTER = r"(?<![\w.])(?<!\d[ -])", r"(?![ -]?\d)(?!\w)"
_PHONE_WORDS = _words(
    "phone", "ph", "tel", "telephone", "mobile", "mob", "cell", "call", "contact", "whatsapp",
    "sms", "fax", "dial", "फोन", "फ़ोन", "मोबाइल", "संपर्क", "தொலைபேசி", "அலைபேசி", "ফোন", "মোবাইল",
)  # fmt: skip

# The order matters: what one kind has taken, the next does not see.
KINDS = (
    Kind(
        name="email",
        form=_form(r"[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[A-Za-z]{2,24}\b"),
    ),
    Kind(
        name="upi",
        form=_form(r"(?<![\w.+-])[\w.-]{2,64}@[A-Za-z]{2,20}\b(?![.@\w-])"),
        words=_words("upi", "gpay", "google pay", "phonepe", "paytm", "bhim", "vpa"),
        alone=lambda text: bool(re.fullmatch(UPI_HANDLES, text.rpartition("@")[2], re.IGNORECASE)),
    ),
    Kind(
        name="gstin",
        form=_form(r"\b\d{2}[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z[0-9A-Z]\b", any_case=True),
        check=has_gstin_digit,
    ),
    Kind(
        name="pan",
        form=_form(r"\b[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]\b", any_case=True),
        words=_words("pan", "permanent account", "income tax", "पैन"),
        alone=str.isupper,
    ),
    Kind(
        name="payment_card",
        form=_form(rf"{_DIGIT_BEFORE}[3-6]\d{{3}}([ -]?)\d{{4}}\1\d{{4}}\1\d{{2,4}}{_DIGIT_AFTER}"),
        words=_words("card", "credit", "debit", "visa", "mastercard", "rupay", "amex"),
        check=has_luhn_digit,
        alone=_is_grouped,
    ),
    Kind(
        name="aadhaar",
        form=_form(rf"{_DIGIT_BEFORE}[2-9]\d{{3}}([ -]?)\d{{4}}\1\d{{4}}{_DIGIT_AFTER}"),
        words=_words("aadhaar", "aadhar", "adhaar", "adhar", "uidai", "uid", "आधार", "ஆதார்", "আধার"),
        check=has_verhoeff_digit,
        alone=_is_grouped,
    ),
    Kind(
        name="driving_licence_in",
        form=_form(rf"\b(?:{STATES})[ -]?\d{{2}}[ -]?(?:19|20)\d{{2}}[ -]?\d{{7}}\b"),
    ),
    Kind(
        name="vehicle_in",
        form=_form(
            rf"\b(?:(?:{STATES})[ -]?\d{{1,2}}[ -]?(?:[A-Z][ -]?)?[A-Z]{{1,2}}[ -]?\d{{4}}"
            r"|\d{2}[ -]?BH[ -]?\d{4}[ -]?[A-Z]{1,2})\b"
        ),
        words=_words(
            "car", "vehicle", "plate", "registration", "registered", "reg", "truck", "lorry",
            "bike", "motorcycle", "scooter", "taxi", "bus", "auto", "rickshaw", "van",
            "गाड़ी", "वाहन",
        ),
        alone=_is_plate_without_gaps,
    ),
    Kind(
        name="passport_in",
        form=_form(r"\b[A-PR-WY][1-9]\d ?\d{4}[1-9]\b", any_case=True),
        words=_words("passport", "पासपोर्ट", "பாஸ்போர்ட்", "পাসপোর্ট"),
        alone=_never,
    ),
    Kind(
        name="voter_id",
        form=_form(r"\b[A-Z]{3}\d{7}\b", any_case=True),
        words=_words("voter", "voters", "epic", "elector", "electoral", "election", "मतदाता"),
        alone=_never,
    ),
    Kind(
        name="ifsc",
        form=_form(r"\b[A-Z]{4}0[A-Z0-9]{6}\b"),
        words=_words("ifsc", "bank", "branch", "account", "neft", "rtgs", "imps"),
        alone=lambda text: bool(re.match(BANKS, text)),
    ),
    Kind(
        name="phone",
        form=_form(r"(?<![\w.])(?:\+|00)\d{1,3}[ .-]?(?:\(?\d{2,5}\)?[ .-]?){1,4}\d{2,4}(?!\w)"),
        check=_is_long_number,
    ),
    Kind(
        name="phone",
        form=_form(
            rf"{_DIGIT_BEFORE}(?<![/-])(?:0|91[ -]?)?[6-9]\d{{4}}[ -]?\d{{5}}{_DIGIT_AFTER}"
        ),
        words=_PHONE_WORDS,
        alone=_is_indian_phone,
    ),
    Kind(
        name="phone",
        form=_form(r"(?<![\w.])\(?\d{2,5}\)?(?:[ .-]\d{2,5}){1,3}(?!\w)"),
        words=_PHONE_WORDS,
        check=_is_long_number,
        alone=_never,
    ),
    Kind(
        name="pin_code",
        form=_form(rf"{_DIGIT_BEFORE}[1-9]\d{{2}} ?\d{{3}}{_DIGIT_AFTER}"),
        words=_words("pin", "pincode", "pin code", "postal", "postcode", "पिन", "பின்கோடு", "পিন"),
        alone=_never,
    ),
)  # fmt: skip
KIND_NAMES = tuple(dict.fromkeys(kind.name for kind in KINDS))
