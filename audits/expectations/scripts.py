"""Which writing system a caption is in, by the Unicode blocks of its letters.

Does not see: the language. Hindi, Marathi and Nepali share one script; transliterated Hindi is
Latin here; Chinese, Japanese and Korean are one, for Japanese alone mixes three.
"""

import bisect
from typing import Final

NONE: Final = "none"
MIXED: Final = "mixed"
OTHER: Final = "other"

# First and last letter of blocks. Source: Unicode 15, Blocks.txt; India's scripts are all here.
_BLOCKS: Final = (
    (0x0041, 0x024F, "latin"), (0x0370, 0x03FF, "greek"), (0x0400, 0x052F, "cyrillic"),
    (0x0600, 0x06FF, "arabic"), (0x0750, 0x077F, "arabic"), (0x08A0, 0x08FF, "arabic"),
    (0x0900, 0x097F, "devanagari"), (0x0980, 0x09FF, "bengali"), (0x0A00, 0x0A7F, "gurmukhi"),
    (0x0A80, 0x0AFF, "gujarati"), (0x0B00, 0x0B7F, "odia"), (0x0B80, 0x0BFF, "tamil"),
    (0x0C00, 0x0C7F, "telugu"), (0x0C80, 0x0CFF, "kannada"), (0x0D00, 0x0D7F, "malayalam"),
    (0x0D80, 0x0DFF, "sinhala"), (0x0E00, 0x0E7F, "thai"), (0x1C50, 0x1C7F, "ol-chiki"),
    (0x1E00, 0x1EFF, "latin"), (0x2C60, 0x2C7F, "latin"), (0x3040, 0x30FF, "cjk"),
    (0x3400, 0x4DBF, "cjk"), (0x4E00, 0x9FFF, "cjk"), (0xA720, 0xA7FF, "latin"),
    (0xA8E0, 0xA8FF, "devanagari"), (0xAAE0, 0xAAFF, "meetei"), (0xABC0, 0xABFF, "meetei"),
    (0xAC00, 0xD7AF, "cjk"), (0xFB50, 0xFDFF, "arabic"), (0xFE70, 0xFEFF, "arabic"),
    (0xFF21, 0xFF5A, "latin"),
)  # fmt: skip
_FIRST: Final = tuple(first for first, _, _ in _BLOCKS)


def script_of(text: str) -> str:
    """Return the script of a text's letters: a name, `other`, `mixed` of several, or `none`."""
    found = {_script(letter) for letter in set(text) if letter.isalpha()}
    return MIXED if len(found) > 1 else next(iter(found), NONE)


def _script(letter: str) -> str:
    _, last, script = _BLOCKS[max(0, bisect.bisect(_FIRST, ord(letter)) - 1)]
    return script if ord(letter) <= last else OTHER
