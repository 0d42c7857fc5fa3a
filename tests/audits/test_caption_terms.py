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


def test_every_term_of_a_lexicon_states_what_it_stands_under():
    terms = lexicon("safety").terms
    assert {t: stated(t, lexicon("safety")) for t in terms} == {
        term: sorted(meaning) for term, meaning in terms.items()
    }


def test_the_longest_term_counts_alone_and_one_that_states_nothing_silences():
    lexicons = lexicon("people")
    assert stated("an old man", lexicons) == ["age=old", "gender=man"]
    assert stated("a trans woman and a man", lexicons) == ["gender=man", "gender=third-gender"]
    assert stated("a baby giraffe", lexicons) == []
    assert stated("a baby", lexicons) == ["age=child"]


def test_lexicons_are_read_as_one():
    both = lexicon("people", "occupations")
    assert stated("a woman, a nurse", both) == ["gender=woman", "occupation=nurse"]
    assert both.terms.keys() == lexicon("people").terms.keys() | lexicon("occupations").terms.keys()


def test_words_of_a_caption_have_no_case_marks_or_punctuation():
    said = words("\uff21  Girl's -- <naïve> ५ किताबें_2")
    assert said == ["a", "girl", "s", "naïve", "५", "किताबें", "2"]
