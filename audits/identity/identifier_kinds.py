"""The kinds of identifiers that are looked for: forms, the words that name them, their checks.

Does not see: names, addresses, foreign identity numbers, numbers written in words, army and
diplomatic plates, or naming words of languages that stand not here.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from audits.identity.check_digits import (
    digits_of,
    has_gstin_digit,
    has_luhn_digit,
    has_verhoeff_digit,
)

STATES = (  # the letters that begin a vehicle's or driver's number. Source: MoRTH state codes
    "AN|AP|AR|AS|BR|CG|CH|DD|DL|DN|GA|GJ|HP|HR|JH|JK|KA|KL|LA|LD|MH|ML|MN|MP|MZ|NL|OD|OR|PB|PY|RJ|"
    "SK|TG|TN|TR|TS|UA|UK|UP|WB"
)
BANKS = (  # IFSC prefixes common enough to stand without the word. Source: RBI list of IFSC
    "ANDB|AUBL|BARB|BDBL|BKID|CBIN|CNRB|DBSS|FDRL|HDFC|HSBC|ICIC|IDFB|IDIB|INDB|IOBA|IPOS|KARB|"
    "KKBK|KVBL|MAHB|PSIB|PUNB|PYTM|RATN|SBIN|SCBL|SIBL|TMBL|UBIN|UCBA|UTIB|YESB"
)
UPI_HANDLES = (  # Source: NPCI list of third-party apps and of banks' own
    "abfspay|airtel|apl|axisb|axisbank|axl|barodampay|boi|cnrb|fam|fbl|federal|freecharge|hdfcbank|"
    "hsbc|ibl|icici|idbi|idfcbank|ikwik|indianbank|indus|jio|jupiteraxis|kbl|kotak|naviaxis|okaxis|"
    "okhdfcbank|okicici|oksbi|paytm|pingpay|pnb|postbank|ptaxis|pthdfc|ptsbi|ptyes|rapl|rbl|sbi|"
    "slice|superyes|timecosmos|unionbank|upi|waaxis|wahdfcbank|waicici|wasbi|yapl|ybl|yesbank|yespay"
)
NO_DOMAINS = "avif|bmp|gif|heic|jpe?g|png|svg|tiff?|webp"  # "logo@2x.png" is no address
PHONE_DIGITS = range(8, 16)  # ITU-T E.164: at most 15
NATIONAL_DIGITS = 10  # of an Indian mobile number, without 0 or 91 before it


def _always(_: str) -> bool:
    return True


def _never(_: str) -> bool:
    return False


def _letters_and_digits(text: str) -> str:
    return re.sub(r"[\W_]", "", text).upper()


def _phone(text: str) -> str:
    """Return the digits of a telephone number, an Indian mobile without 0, 91 or +91."""
    digits = digits_of(re.split("x|ext", text, maxsplit=1)[0]).removeprefix("00")
    national = re.fullmatch(rf"(?:0|91)?([6-9]\d{{{NATIONAL_DIGITS - 1}}})", digits)
    return national[1] if national else digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of identifier.

    `form` is how it is written, and `fits` what the form cannot say. `words` name it. `check` is
    its check digit, None where it has none. `distinct` says that nothing else is written so.
    `by_name_only`: without one of the words it is no match at all. `plain` makes two spellings of
    one value equal.
    """

    name: str
    form: re.Pattern[str]
    words: re.Pattern[str]
    fits: Callable[[str], bool] = _always
    check: Callable[[str], bool] | None = None
    distinct: Callable[[str], bool] = _never
    by_name_only: bool = False
    plain: Callable[[str], str] = _letters_and_digits


def _words(*terms: str) -> re.Pattern[str]:
    """Return a pattern for any of some words; Indic ones have no word boundary in `re`."""
    latin = "|".join(term for term in terms if term.isascii())
    other = "|".join(unicodedata.normalize("NFKC", t) for t in terms if not t.isascii())
    return re.compile(rf"\b(?:{latin})\b{'|' + other if other else ''}", re.IGNORECASE)


def _any_case(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _is_grouped(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}([ .-])\d{4}(\1\d{4}){1,2}|3\d{3}([ .-])\d{6}\3\d{5}", text))


def _is_long_number(text: str) -> bool:
    return len(_phone(text)) in PHONE_DIGITS and not _is_grouped(text)


def _is_indian_phone(text: str) -> bool:
    return bool(re.match(r"0|91[ -]", text) or re.search(r"\d{5}[ .-]\d{5}$", text))


def _is_plate_without_gaps(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Z]{2}-?\d{2}-?[A-Z]{1,3}-?\d{4}|\d{2}BH\d{4}[A-Z]{1,2}", text))


def _is_address(text: str) -> bool:
    return not re.search(rf"\.(?:{NO_DOMAINS})$", text, re.IGNORECASE)


_DIGIT_BEFORE, _DIGIT_AFTER = r"(?<![\w.])(?<!\d[ -])", r"(?![ -]?\d)(?!\w)"
_EXTENSION = r"(?: ?(?:x|ext\.?) ?\d{1,6})?"
_PHONE_WORDS = _words(
    "phone", "ph", "tel", "telephone", "mobile", "mob", "cell", "call", "contact", "whatsapp",
    "sms", "fax", "dial", "फोन", "फ़ोन", "मोबाइल", "संपर्क", "தொலைபேசி", "அலைபேசி", "கைபேசி",
    "ফোন", "মোবাইল",
)  # fmt: skip

# Where two of one score overlap, the earlier kind is meant.
KINDS = (
    Kind(
        name="email",
        form=re.compile(r"[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[A-Za-z]{2,24}\b"),
        words=_words("e-?mail", "mail", "ईमेल", "மின்னஞ்சல்", "ইমেইল", "ইমেল"),
        fits=_is_address,
        distinct=_always,
        plain=str.lower,
    ),
    Kind(
        name="upi",
        form=re.compile(r"(?<![\w.+-])[\w.-]{2,64}@[A-Za-z]{2,20}\b(?![@\w]|\.\w)"),
        words=_words("upi", "gpay", "google pay", "phonepe", "paytm", "bhim", "vpa", "यूपीआई"),
        distinct=lambda text: bool(_any_case(UPI_HANDLES).fullmatch(text.rpartition("@")[2])),
        plain=str.lower,
    ),
    Kind(
        name="gstin",
        form=_any_case(r"\b(?:[0-2]\d|3[0-8]|9[79])[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z[0-9A-Z]\b"),
        words=_words("gstin", "gst", "tax"),
        check=has_gstin_digit,
        distinct=_always,
    ),
    Kind(
        name="pan",
        form=_any_case(r"\b[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]\b"),
        words=_words("pan", "permanent account", "income tax", "पैन", "பான்", "প্যান"),
        distinct=str.isupper,
    ),
    Kind(
        name="payment_card",
        form=re.compile(
            rf"{_DIGIT_BEFORE}(?:(?:[3-6]\d|2[2-7]|8[12])\d\d([ .-]?)\d{{4}}\1\d{{4}}\1\d{{2,4}}"
            rf"|3[47]\d\d([ .-]?)\d{{6}}\2\d{{5}}){_DIGIT_AFTER}"
        ),
        words=_words("cards?", "cc", "credit", "debit", "visa", "mastercard", "rupay", "amex"),
        check=has_luhn_digit,
        distinct=_is_grouped,
        plain=digits_of,
    ),
    Kind(
        name="aadhaar",
        form=re.compile(rf"{_DIGIT_BEFORE}[2-9]\d{{3}}([ .-]?)\d{{4}}\1\d{{4}}{_DIGIT_AFTER}"),
        words=_words(
            "aadhaar", "aadhar", "adhaar", "adhar", "uidai", "uid", "आधार", "ஆதார்", "আধার"
        ),
        check=has_verhoeff_digit,
        distinct=_is_grouped,
        plain=digits_of,
    ),
    Kind(
        name="driving_licence_in",
        form=re.compile(rf"\b(?:{STATES})[ /-]?\d{{2}}[ /-]?(?:19|20)\d{{2}}[ /-]?\d{{7}}\b"),
        words=_words("driving", "licen[cs]e", "dl", "ड्राइविंग"),
        distinct=_always,
    ),
    Kind(  # as it was written before 2011, and in Rajasthan for longer
        name="driving_licence_in",
        form=re.compile(
            rf"\b(?:{STATES})[ -]?\d{{2}}[A-Z]?/(?:DLC/)?\d{{2,7}}/ ?\d{{2,7}}\b"
        ),
        words=_words("driving", "licen[cs]e", "dl", "ड्राइविंग"),
    ),
    Kind(
        name="vehicle_in",
        form=_any_case(
            rf"\b(?:(?:{STATES})[ -]?\d{{1,2}}[ -]?(?:[A-Z][ -]?)?[A-Z]{{1,2}}[ -]?\d{{4}}"
            r"|\d{2}[ -]?BH[ -]?\d{4}[ -]?[A-Z]{1,2})\b"
        ),
        words=_words(
            "car", "vehicle", "plate", "registration", "registered", "reg", "rto", "truck", "lorry",
            "bike", "motorcycle", "scooter", "taxi", "bus", "auto", "rickshaw", "van", "jeep",
            "गाड़ी", "वाहन", "வாகன", "গাড়ি",
        ),
        distinct=_is_plate_without_gaps,
    ),
    Kind(
        name="passport_in",
        form=_any_case(r"\b[A-Z]\d{2} ?\d{5}\b"),
        words=_words("passport", "पासपोर्ट", "பாஸ்போர்ட்", "கடவுச்சீட்டு", "পাসপোর্ট"),
    ),
    Kind(
        name="voter_id",
        form=_any_case(r"\b(?:[A-Z]{3} ?\d{7}|[A-Z]{2}/\d{2}/\d{3}/\d{6,7})\b"),
        words=_words(
            "voter", "voters", "epic", "elector", "electoral", "election", "मतदाता", "வாக்காளர்",
            "ভোটার",
        ),
        distinct=lambda text: "/" in text,
    ),
    Kind(
        name="ifsc",
        form=_any_case(r"\b[A-Z]{4}0[A-Z0-9]{6}\b"),
        words=_words("ifsc", "bank", "branch", "account", "neft", "rtgs", "imps"),
        fits=lambda text: any(map(str.isdigit, text[5:])) or text.isupper(),
        distinct=lambda text: bool(re.match(BANKS, text)),
    ),
    Kind(
        name="phone",
        form=re.compile(
            r"(?<![\w.])(?:\+|00)\d{1,3}[ .-]?(?:\(?\d{2,5}\)?[ .-]?){1,4}\d{2,5}"
            rf"{_EXTENSION}(?!\w)"
        ),
        words=_PHONE_WORDS,
        fits=_is_long_number,
        distinct=_always,
        plain=_phone,
    ),
    Kind(
        name="phone",
        form=re.compile(
            rf"{_DIGIT_BEFORE}(?<![/-])(?:0|91[ -]?)?[6-9]\d{{4}}[ .-]?\d{{5}}{_DIGIT_AFTER}"
        ),
        words=_PHONE_WORDS,
        distinct=_is_indian_phone,
        plain=_phone,
    ),
    Kind(
        name="phone",
        form=re.compile(
            rf"(?<![\w.])\(?\d{{2,5}}\)?(?:[ .-]\d{{2,5}}){{1,4}}{_EXTENSION}(?!\w)"
        ),
        words=_PHONE_WORDS,
        fits=_is_long_number,
        by_name_only=True,
        plain=_phone,
    ),
    Kind(
        name="pin_code",
        form=re.compile(rf"{_DIGIT_BEFORE}[1-9]\d{{2}} ?\d{{3}}{_DIGIT_AFTER}"),
        words=_words(
            "pin", "pincode", "pin code", "postal", "postcode", "पिन", "பின்கோடு", "அஞ்சல்", "পিন"
        ),
        by_name_only=True,
        plain=digits_of,
    ),
)  # fmt: skip
KIND_NAMES = tuple(dict.fromkeys(kind.name for kind in KINDS))
