import pytest
from personal_answers import captions_of

from audits.identity.ages import states_minor


@pytest.mark.parametrize(
    "caption",
    [
        "a 12 year old boy", "aged 9", "class 5 student", "5 saal ka bachcha", "9 y/o", "12yo boy",
        "a 5-year-old at the beach", "portrait, 17 years old", "a five-year-old smiling",
        "a girl aged 12 years", "12-year-old Indian girl in a car", "6-month-old baby",
        "12 year old next to his dog", "a 5 year old boy's bicycle", "6 to 8 year olds",
        "ages 6-12", "at the age of 7", "she turned 9.", "her 7th birthday", "his ninth birthday",
        "under-14 girls team", "under 12s", "5th grader", "fifth grade students",
        "a class V pupil", "umar 9 saal", "10 saal ki dancer",
        "१० साल की लड़की", "१० वर्षीय छात्रा", "उम्र 9 साल", "कक्षा 5 का छात्र",
        "10 வயது சிறுமி", "வயது ௯", "5-ஆம் வகுப்பு மாணவி",
        "১০ বছরের ছাত্রী", "৯ বছর বয়সী", "বয়স ৯", "পঞ্চম শ্রেণির ছাত্র",
        "a \uff11\uff12 year old boy", "a 1\u200b2 year old boy",
    ],
)  # fmt: skip
def test_an_age_under_eighteen_is_a_minors(caption):
    assert states_minor(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "12-year-old whisky", "a 10 year old red car", "12-year-old building", "my 3 year old dog",
        "the whisky, aged 12 years", "whisky aged 12 years in oak", "a single malt 12 years old",
        "a bottle of 15-year-old single malt Scotch", "the house is 12 years old",
        "3-day-old bread", "12 saal purani gaadi", "१० साल का अनुभव", "১০ বছরের পুরনো বাড়ি",
        "10 வயது யானை", "the company's 10th birthday",
    ],
)  # fmt: skip
def test_the_age_of_a_thing_is_nobodys(caption):
    assert not states_minor(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "portrait, 18 years old", "25 year old woman", "twenty-five-year-old man",
        "a 1,000-year-old tree", "100 years old", "class 5 hurricane", "C class sedan",
        "10 years ago", "under 10 dollars", "a woman aged 45", "5 year warranty", "page 12",
        "১০ বছর আগে", "stage 9", "30th birthday cake", "a man on a horse", "",
    ],
)  # fmt: skip
def test_other_numbers_are_no_age_under_eighteen(caption):
    assert not states_minor(caption)


@pytest.mark.shared
def test_of_twenty_thousand_ordinary_captions_one_states_an_age(shared):
    assert [caption for caption in captions_of(shared) if states_minor(caption)] == [
        "A boy is blowing his candles on his ninth birthday."
    ]
