import numpy as np
import pytest
from invented_documents import DOCUMENTS, card, drawn
from personal_answers import document_scores
from PIL import Image, ImageDraw

from audits.identity.documents import document_score

WRITTEN = 0.3  # the score from which the commercial pack quarantines


def scores_of(draw, count=10):
    return [document_score(image) for image in drawn(draw, count)]


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("cards", 1.0),
        ("cards on their side", 1.0),
        ("letters", 1.0),
        ("letters on a table", 0.5),  # small in the picture: many are missed
        ("cards on a table", 0.3),
    ],
)
def test_drawn_documents_score_as_writing(name, share):
    scores = scores_of(DOCUMENTS[name])
    assert all(0 <= score <= 1 for score in scores)
    assert sum(score >= WRITTEN for score in scores) >= share * len(scores)


def test_a_letter_upside_down_is_one():
    assert min(scores_of(lambda rng: DOCUMENTS["letters"](rng).rotate(180))) > WRITTEN


def noise(rng):
    pixels = np.random.default_rng(rng.randrange(10**6)).integers(0, 256, (240, 320, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def bricks(rng):
    image = Image.new("RGB", (320, 240), "#e8e4dc")
    draw = ImageDraw.Draw(image)
    for row in range(12):
        for column in range(-1, 9):
            x, y = column * 40 + row % 2 * 20, row * 20
            draw.rectangle((x, y, x + 37, y + 17), fill=(150 + rng.randrange(40), 70, 60))
    return image


@pytest.mark.parametrize(
    "draw",
    [
        noise,
        bricks,
        lambda rng: Image.new("RGB", (320, 200), "white"),
        lambda rng: Image.linear_gradient("L").convert("RGB"),
        lambda rng: card(rng).resize((60, 38)),
        lambda rng: Image.new("RGB", (320, 1)),
    ],
    ids=["noise", "bricks", "blank", "gradient", "too small to read", "a line"],
)
def test_what_is_no_writing_scores_nothing(draw):
    assert scores_of(draw, count=3) == [0.0] * 3


@pytest.mark.shared
@pytest.mark.slow
def test_hardly_any_photograph_or_drawing_passes_for_a_document(shared):
    for name, scores in document_scores(shared):
        alarms = sum(score >= WRITTEN for score in scores)
        assert alarms <= (0.01 if "2 x 72 px" in name else 0.002) * len(scores), name
