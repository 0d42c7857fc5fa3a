"""The figures of benchmarks/nsfw_answers.py on the shared data; the counting stands there once."""

import pytest
from nsfw_answers import POLICY_SCORE, faces, false_alarms, pdq_matches, words

pytestmark = pytest.mark.shared


def test_of_20027_captions_of_photographs_none_brings_a_minor_and_nudity_together(shared):
    said = words(shared)["COCO 2017 captions"]
    assert (said.captions, said.nudity, said.both) == (20_027, 4, 0)
    assert said.minor > 1_000  # the words for minors are heard all the same


def test_lists_of_offensive_words_are_heard_where_they_speak_of_nudity(shared):
    said = words(shared)
    assert (said["blocklist_en.txt"].nudity, said["blocklist_hi.txt"].nudity) == (41, 6)


def test_a_pdq_list_finds_turned_and_re_encoded_copies_no_crops_and_no_other_picture(shared):
    pytest.importorskip("pdqhash", reason="pramana[pdq] is absent")
    found = pdq_matches(shared)
    assert (found["exif-orientation"], found["exact"]) == ((14, 14), (1, 1))
    assert (found["different"], found["crop"]) == ((0, 105), (0, 60))
    assert found["photometric"][0] >= 175
    assert found["photometric"][1] == 191


@pytest.mark.slow
def test_portraits_have_faces_and_pictures_without_people_hardly_ever_an_exposed_class(shared):
    pytest.importorskip("nudenet", reason="pramana[nsfw] is absent")
    assert all(score > 0.5 for score in faces(shared).values())
    alarms = false_alarms(shared, every=10)
    assert sum(over for _, over, _ in alarms.values()) <= 1  # of 140 at the policy's score
    assert max(highest for _, _, highest in alarms.values()) < POLICY_SCORE + 0.05
