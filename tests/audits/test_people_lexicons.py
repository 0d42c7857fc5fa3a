import bias_answers
import pytest

from audits.bias import LEXICONS
from audits.captions import lexicon, stated, words

AXES = {
    "gender", "kinship", "age", "skin", "disability", "religion", "caste", "region", "language",
    "ambiguous", "occupation", "trait", "setting",
}  # fmt: skip


def said(caption):
    return stated(caption, lexicon(*LEXICONS))


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
        ("a blind man", ["disability=sight", "gender=man"]),
        ("tribal women", ["caste=adivasi", "gender=woman"]),
        ("a sign in Tamil", ["language=tamil"]),
        ("दो महिलाएँ और एक किसान", ["gender=woman", "occupation=farmer"]),
        ("ஒரு திருநங்கை ஆசிரியர்", ["gender=third-gender", "occupation=teacher"]),
        ("মেয়েরা ও একজন জেলে", ["gender=woman", "occupation=fisher"]),
        ("ek aurat aur kisan", ["gender=woman", "occupation=farmer"]),
        ("SC/ST students", ["caste=scheduled caste or tribe", "occupation=student"]),
        ("a mango on a table", []),
    ],
    ids=[
        "longest skin tone", "two axes", "longest gender", "three axes", "Indian terms",
        "disability", "tribe", "language of a script", "Hindi", "Tamil", "Bengali",
        "romanised Hindi", "scheduled castes", "none",
    ],
)  # fmt: skip
def test_terms_state_what_they_name_in_four_languages(caption, expected):
    assert said(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("Mr Rajput, Shah and Khan", ["ambiguous=khan", "ambiguous=rajput", "ambiguous=shah"]),
        ("a Rajput warrior", ["caste=kshatriya"]),
        ("an Indian street fair", ["ambiguous=indian"]),
        ("a fair", ["ambiguous=fair"]),
        ("fair skin", ["skin=light"]),
        ("a Kashmiri Pandit", ["caste=brahmin"]),
        ("a pandit", ["ambiguous=pandit"]),
        ("a tribal pattern", ["ambiguous=tribal"]),
    ],
    ids=[
        "surnames",
        "caste",
        "compound",
        "adjective",
        "skin",
        "caste of a place",
        "title",
        "style",
    ],
)
def test_a_word_that_may_be_a_name_or_a_thing_is_ambiguous_unless_it_is_told(caption, expected):
    assert said(caption) == expected


@pytest.mark.parametrize(
    "caption",
    ["a mother giraffe", "a baby elephant", "lady fingers in a bowl", "a royal Bengal tiger",
     "a police car", "tailor-made", "a pan to cook with"],
)  # fmt: skip
def test_terms_that_name_nobody_are_not_counted(caption):
    assert said(caption) == []


@pytest.mark.parametrize(
    ("caption", "expected"),
    [("a policeman", "police officer"), ("a waitress", "waiter"), ("firemen", "firefighter")],
)
def test_a_gendered_name_of_a_trade_states_the_trade_alone(caption, expected):
    """Else each association of gender with work would find the word in itself."""
    assert said(caption) == [f"occupation={expected}"]


def test_a_relation_is_no_gender():
    assert said("a mother and a bride") == ["kinship=bride", "kinship=mother"]


def test_every_axis_is_known_and_every_term_states_what_it_stands_under():
    terms = lexicon(*LEXICONS).terms
    assert {meaning.partition("=")[0] for m in terms.values() for meaning in m} == AXES
    assert {term: said(term) for term in terms} == {t: sorted(m) for t, m in terms.items()}
    assert all(term == " ".join(words(term)) and len(set(m)) == len(m) for term, m in terms.items())


def test_a_longer_term_that_holds_a_noun_of_gender_states_that_gender_too():
    terms = lexicon(*LEXICONS).terms
    for term, meaning in terms.items():
        inside = {
            m for word in term.split() for m in terms.get(word, ()) if m.startswith("gender=")
        }
        if " " in term and meaning and inside:
            assert any(m.startswith("gender=") for m in meaning), term


@pytest.mark.shared
def test_the_lexicons_state_every_term_of_the_published_lists(shared):
    missing = {name: lacking for name, _, lacking in bias_answers.term_lists(shared) if lacking}
    assert missing == {}


@pytest.mark.shared
def test_gender_is_stated_in_four_languages(shared):
    """Of Unicode's names of pictures of one woman or one man; the rest leave the gender open."""
    found = bias_answers.scripts(shared)
    shares = {language: said / total for language, (said, total) in found.items()}
    assert shares[""] > 0.95
    assert min(shares.values()) > 0.86


@pytest.mark.shared
def test_no_term_for_people_is_an_insult_of_the_published_blocklists(shared):
    terms = set(lexicon("people", "communities", "occupations").terms) - {"hijra"}  # their own word
    for name in ("blocklist_en.txt", "blocklist_hi.txt"):
        listed = (shared / "text" / name).read_text(encoding="utf-8").splitlines()
        assert {" ".join(words(line)) for line in listed} & terms == set(), name
