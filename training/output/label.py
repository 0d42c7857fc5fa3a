"""The visible label: words in a corner of the picture that say a machine made it.

Height: the letters are at least 5 % of the shorter side, as GB 45438-2025 (China, in force since
1 September 2025) asks; none of the texts we hold gives another figure. India's IT Rules as amended
by G.S.R. 120(E) (in force since 20 February 2026) ask of intermediaries that the label is
prominent; Art. 50(2) of the EU AI Act asks for marking that machines read, which is the metadata.

Does not see: cropping. A label in a corner goes with the corner.
"""

from typing import cast

from PIL import Image, ImageDraw, ImageFont

WORDINGS = ("AI-generated", "AI")  # the first that fits the width
LEAST_SHARE = 0.05  # of the shorter side. Source: GB 45438-2025
LEAST_PX = 7  # below this height letters are not read
LEAST_FONT_PX = 5
INK, GROUND = (255, 255, 255), (0, 0, 0)


def labelled(image: Image.Image) -> Image.Image:
    """Return a copy with the label at the lower left, white on black."""
    made = image.convert("RGB")
    pen = ImageDraw.Draw(made)
    font, wording = _fitting(pen, made.size)
    left, top, right, bottom = (int(side) for side in pen.textbbox((0, 0), wording, font=font))
    pad = max(1, (bottom - top) // 3)
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    corner = (0, made.height - height)
    pen.rectangle((*corner, width - 1, made.height - 1), fill=GROUND)
    pen.text((pad - left, corner[1] + pad - top), wording, font=font, fill=INK)
    return made


def letter_px(size: tuple[int, int]) -> int:
    """Return the least height of the label's capital letters for a picture of a size."""
    return max(LEAST_PX, -int(-LEAST_SHARE * min(size) // 1))


def _fitting(pen: ImageDraw.ImageDraw, size: tuple[int, int]) -> tuple[ImageFont.FreeTypeFont, str]:
    """Return a font whose capitals are high enough, and the longest wording that fits."""
    wanted, font_px = letter_px(size), LEAST_FONT_PX
    while _height(_font(font_px), pen) < wanted:
        font_px += 1
    font = _font(font_px)
    for wording in WORDINGS[:-1]:
        left, top, right, bottom = pen.textbbox((0, 0), wording, font=font)
        if right - left + 2 * ((bottom - top) // 3 + 1) <= size[0]:
            return font, wording
    return font, WORDINGS[-1]


def _height(font: ImageFont.FreeTypeFont, pen: ImageDraw.ImageDraw) -> float:
    _, top, _, bottom = pen.textbbox((0, 0), "A", font=font)
    return bottom - top


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size_px))
