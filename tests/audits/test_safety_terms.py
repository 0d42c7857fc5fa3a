"""Words by which captions speak of minors or nudity, in four languages, and their false kin."""

import pytest

from audits.captions import lexicon, stated

SAYS = {
    "English": ("Two naked children by the sea", {"minor", "nudity"}),
    "an age": ("a 15-year-old, undressed", {"young", "nudity"}),
    "an age in short": ("14yo girl", {"young", "minor"}),
    "an age in words": ("a seventeen year old", {"young"}),
    "of age": ("an 18 year old whisky", set()),
    "old whisky": ("a bottle of 12-year-old whisky", {"young"}),
    "Hindi": ("नग्न बच्ची", {"minor", "nudity"}),
    "romanised Hindi": ("nangi ladki", {"minor", "nudity"}),
    "Tamil": ("நிர்வாணமாக ஒரு சிறுமி", {"minor", "nudity"}),
    "romanised Tamil": ("aabasam sirumi", {"minor", "nudity"}),
    "Bengali": ("একটি উলঙ্গ শিশু", {"minor", "nudity"}),
    "Bengali, other code points": ("মেয়ে", {"minor"}),  # ya and nukta apart
    "romanised Bengali": ("ulongo meye", {"minor", "nudity"}),
}
SAYS_NOT = [
    "the sex ratio among girls", "a same sex couple with a baby", "sex education for teens",
    "a naked mole rat, seen by kids", "visible to the naked eye", "a boy with a bottle nipple",
    "girl in nude heels", "bottomless brunch with the kids", "a song in a minor key",
    "baby carrots on a plate", "Super Bowl XXX for kids", "நிலா ஒளி", "নীল আকাশ", "नीला आकाश",
]  # fmt: skip


def said(caption):
    return {value.removeprefix("about=") for value in stated(caption, lexicon("safety"))}


@pytest.mark.parametrize(("caption", "expected"), SAYS.values(), ids=SAYS.keys())
def test_what_a_caption_says_is_heard_in_four_languages(caption, expected):
    assert said(caption) - {"neither"} == expected


@pytest.mark.parametrize("caption", SAYS_NOT)
def test_words_that_mean_something_else_bring_no_minor_and_nudity_together(caption):
    heard = said(caption)
    assert "nudity" not in heard or not heard & {"minor", "young"}


def test_no_term_stands_under_two_meanings():
    assert not {term: values for term, values in lexicon("safety").terms.items() if len(values) > 1}
