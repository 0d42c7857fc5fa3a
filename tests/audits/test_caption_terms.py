import pytest

from audits.captions import lexicon, stated, words


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a girl in a garden", ["about=minor"]),
        ("SCHOOLGIRL", ["about=minor"]),
        ("baby_girl.JPG", ["about=minor"]),
        ("the boy's kite", ["about=minor"]),
        ("\uff4e\uff55\uff44\uff45 study", ["about=nudity"]),
        ("nu\u200bde study", ["about=nudity"]),
        ("नग्न मूर्ति", ["about=nudity"]),
        ("एक लड़की।", ["about=minor"]),
        ("ek ladki", ["about=minor"]),
        ("Ursa Minor above a baby chick", ["about=neither"]),
        ("nudefish, kidney, babysitter", []),
        ("", []),
    ],
    ids=[
        "plain", "capitals", "file name", "genitive", "full-width letters", "zero-width space",
        "Hindi", "Hindi before a danda", "romanised Hindi", "other meanings", "longer words",
        "nothing",
    ],
)  # fmt: skip
def test_safety_terms_are_found_in_whatever_letters_a_caption_uses(caption, expected):
    assert stated(caption, lexicon("safety")) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a medium-dark skin tone", ["skin=medium-dark"]),
        ("an old man", ["age=old", "gender=man"]),
        ("a trans woman", ["gender=third-gender"]),
        ("a girl and a sanitation worker", [
            "age=child", "gender=woman", "occupation=sanitation worker",
        ]),
        ("Tamil Nadu, a Sikh chaiwala", [
            "occupation=vendor", "region=tamil nadu", "religion=sikh",
        ]),
        ("a mango on a table", []),
    ],
    ids=["longest skin tone", "two axes", "longest gender", "three axes", "Indian terms", "none"],
)  # fmt: skip
def test_the_longest_term_counts_alone(caption, expected):
    assert stated(caption, lexicon("people")) == expected


def test_every_term_of_the_lexicons_states_what_it_stands_under():
    for name in ("safety", "people"):
        terms = lexicon(name)
        assert all(stated(term, terms) == sorted(meaning) for term, meaning in terms.items())


def test_words_of_a_caption_have_no_case_marks_or_punctuation():
    said = words("\uff21  Girl's -- <naïve> ५ किताबें_2")
    assert said == ["a", "girl", "s", "naïve", "५", "किताबें", "2"]
