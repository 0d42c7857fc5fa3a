import itertools

import pytest

from audits.alike.keeping import conditions

ORDER = [  # each asks less than the next
    ("a dedication", ["CC0-1.0"]),
    ("attribution", ["CC-BY-4.0"]),
    ("and not commercial", ["CC-BY-NC-3.0"]),
    ("and share alike", ["CC-BY-NC-SA-4.0"]),
    ("a licence nobody lists", ["LicenseRef-House-Rules"]),
]


def asked(claims, **said):
    told = {"unrecognised": False, "conflict": False, "opted_out": False} | said
    return conditions(claims, **told)


@pytest.mark.parametrize(
    ("less", "more"), list(itertools.pairwise(ORDER)), ids=[name for name, _ in ORDER[1:]]
)
def test_what_asks_less_is_kept_before_what_asks_more(less, more):
    assert asked(less[1]) < asked(more[1])


SAME = {
    "ports": ("CC-BY-NC-2.0", "CC-BY-NC-3.0-DE"),
    "no version": ("CC-BY-SA-4.0", "LicenseRef-CC-BY-SA-unknown-version"),
    "dedications": ("CC0-1.0", "CC-PDM-1.0"),
    "public domain": ("Unlicense", "LicenseRef-Public-Domain"),
    "a notice": ("MIT", "CC-BY-4.0"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
def test_versions_and_names_of_one_kind_ask_the_same(one, other):
    assert asked([one]) == asked([other])


UNCLEAR = {
    "nothing claimed": ([], {}),
    "nobody looked": (None, {}),
    "a conflict": (["CC0-1.0"], {"conflict": True}),
    "something unread": (["CC0-1.0"], {"unrecognised": True}),
    "an opt-out": (["CC0-1.0"], {"opted_out": True}),
}


@pytest.mark.parametrize(("claims", "said"), UNCLEAR.values(), ids=UNCLEAR.keys())
def test_one_clear_claim_comes_before_any_that_is_not(claims, said):
    assert asked(["LicenseRef-House-Rules"]) < asked(claims, **said)


def test_the_strictest_of_several_claims_counts():
    assert asked(["CC0-1.0", "CC-BY-NC-ND-4.0"]) == asked(["CC-BY-NC-ND-4.0"])
