"""Drawn identity cards and letters of nobody, as scans and as pictures of a table they lie on.

All data on them are invented, and the same seed draws the same. Does not see: how real documents
look, with their patterns, seals and creases.
"""

import random
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Draw = Callable[[random.Random], Image.Image]

LONGEST_PX = 320
WORDS = ("GOVERNMENT", "OF", "EXAMPLE", "Asha", "Name", "Address", "12", "Road", "Number", "Valid")
CARD_PX, PAGE_PX, TABLE_PX = (856, 540), (840, 1188), 960
PALE = ("#ffffff", "#faf6eb", "#e4f0f6", "#fae8ec")
HEADERS = ("#ff9933", "#1e5aa0", "#14825a")
INK = "#14141e"


def card(rng: random.Random) -> Image.Image:
    """Draw an identity card: pale, a header, a portrait of flat shapes, lines, a number."""
    image = Image.new("RGB", CARD_PX, rng.choice(PALE))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, CARD_PX[0], 90), fill=rng.choice(HEADERS))
    draw.text((150, 20), "REPUBLIC OF EXAMPLE", font=ImageFont.load_default(40), fill="black")
    draw.rectangle((40, 150, 250, 400), fill="#96aabe")
    draw.ellipse((95, 185, 195, 300), fill="#be9678")
    _write(draw, (290, 150), size=28, count=rng.randint(5, 7), words=rng.randint(2, 4), rng=rng)
    draw.text((260, 470), "0000 1111 2222", font=ImageFont.load_default(46), fill="black")
    return image


def page(rng: random.Random) -> Image.Image:
    """Draw a letter on a sheet of A4."""
    image = Image.new("RGB", PAGE_PX, "#fcfaf2")
    size = rng.randint(18, 26)
    _write(ImageDraw.Draw(image), (80, 80), size=size, count=28, words=8, rng=rng)
    return image


def on_a_table(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the picture of a document on a rough table: turned a little, lit unevenly, noisy."""
    noise = np.random.default_rng(rng.randrange(1 << 20))
    rough = noise.normal(95, 22, (TABLE_PX // 8, TABLE_PX // 8, 3)).repeat(8, 0).repeat(8, 1)
    table = Image.fromarray(np.clip(rough, 0, 255).astype(np.uint8)).convert("RGBA")
    small = image.convert("RGBA")
    small.thumbnail((TABLE_PX * 3 // 4, TABLE_PX * 3 // 4), Image.Resampling.BOX)
    turned = small.rotate(rng.uniform(-4, 4), Image.Resampling.BICUBIC, expand=True)
    table.alpha_composite(turned, ((TABLE_PX - turned.width) // 2, (TABLE_PX - turned.height) // 2))
    light = np.linspace(rng.uniform(0.65, 0.85), 1, TABLE_PX)[None, :, None]
    lit = np.asarray(table.convert("RGB")) * light
    lit += noise.normal(0, 4, lit.shape)
    lit_image = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    return lit_image.filter(ImageFilter.GaussianBlur(0.6))


DOCUMENTS: Mapping[str, Draw] = {
    "cards": card,
    "cards on their side": lambda rng: card(rng).rotate(90, expand=True),
    "letters": page,
    "cards on a table": lambda rng: on_a_table(card(rng), rng),
    "letters on a table": lambda rng: on_a_table(page(rng), rng),
}


def drawn(draw: Draw, count: int) -> list[Image.Image]:
    """Return the first of some drawings, their longest side at most 320 px."""
    images = [draw(random.Random(seed)) for seed in range(count)]  # noqa: S311  no secret
    for image in images:
        image.thumbnail((LONGEST_PX, LONGEST_PX), Image.Resampling.BOX)
    return images


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    *,
    size: int,
    count: int,
    words: int,
    rng: random.Random,
) -> None:
    font = ImageFont.load_default(size)
    for line in range(count):
        text = " ".join(rng.choices(WORDS, k=words))
        draw.text((place[0], place[1] + line * size * 3 // 2), text, font=font, fill=INK)
