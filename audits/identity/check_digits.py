"""Check digits of identifiers: Verhoeff (Aadhaar), modulus 36 (GSTIN), Luhn (payment cards).

Does not see: whether a number was ever issued. One number in ten passes Verhoeff or Luhn by chance,
one in thirty-six the check of a GSTIN.
"""

import re

GSTIN_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VERHOEFF = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)  # the permutation. Source: Verhoeff 1969, chapter 5


def digits_of(text: str) -> str:
    """Return the digits of a text, without what groups them."""
    return re.sub(r"\D", "", text)


def has_verhoeff_digit(text: str) -> bool:
    """Say whether the last digit is the check digit of the others. Source: Verhoeff 1969."""
    check = 0
    for place, digit in enumerate(reversed(digits_of(text))):
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
    values = [int(digit) for digit in reversed(digits_of(text))]
    doubled = (sum(divmod(2 * value, 10)) for value in values[1::2])
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def _dihedral(a: int, b: int) -> int:
    """Return the product of two elements of the dihedral group of order 10."""
    turned = (a - b if a > 4 else a + b) % 5  # noqa: PLR2004  five turns, five mirrors
    return turned if (a > 4) == (b > 4) else turned + 5  # noqa: PLR2004
