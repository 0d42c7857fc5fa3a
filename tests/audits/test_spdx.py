import json

import pytest

from audits.rights.spdx import (
    Reading,
    expression,
    read_claim,
    read_number,
    read_rights,
    without_vaguer,
)


def ids(text, version=""):
    return sorted(read_claim(text, version).ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", "MIT"),
        ("MIT License", "MIT"),
        ("mit or (apache-2.0 and cc-by-4.0)", "MIT OR (Apache-2.0 AND CC-BY-4.0)"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GNU General Public License v3.0", "GPL-3.0-only"),
        ("Apache license, version 2.0", "Apache-2.0"),
        ("https://www.apache.org/licenses/LICENSE-2.0", "Apache-2.0"),
        ("https://opensource.org/license/mit", "MIT"),
        ("https://spdx.org/licenses/BSD-3-Clause.html", "BSD-3-Clause"),
        ("OFL-1.1", "OFL-1.1"),
        ("SIL Open Font License 1.1", "OFL-1.1"),
        ("LicenseRef-our-own", "LicenseRef-our-own"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("CC-BY 4.0", "CC-BY-4.0"),
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"),
        ("CC0", "CC0-1.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("Creative Commons Attribution 4.0 International (CC BY 4.0)", "CC-BY-4.0"),
        ("Attribution-NonCommercial-NoDerivs 2.0 Generic", "CC-BY-NC-ND-2.0"),
        ("Attribution-NonCommercial-ShareAlike License", "LicenseRef-CC-BY-NC-SA-unknown-version"),
        ("CC BY", "LicenseRef-CC-BY-unknown-version"),
        ("http://creativecommons.org/licenses/by-nd/4.0/deed.hi", "CC-BY-ND-4.0"),
        ("//creativecommons.org/licenses/by/3.0//deed.de", "CC-BY-3.0"),
        ("https://i.creativecommons.org/l/by-nc-nd/3.0/88x31.png", "CC-BY-NC-ND-3.0"),
        ("HTTPS://CreativeCommons.org/publicdomain/zero/1.0/legalcode", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("Public domain", "LicenseRef-Public-Domain"),
        ("(c) 2024 Example Studio. All rights reserved.", "LicenseRef-All-Rights-Reserved"),
        ("https://unsplash.com/license", "LicenseRef-Unsplash"),
        ("http://creativecommons.org/licenses/by-nc- sa/3.0/", "CC-BY-NC-SA-3.0"),
        ("creativecommons.org/licenses/by-sa/4.0-3.0-2.5", "LicenseRef-CC-BY-SA-unknown-version"),
        ("NonCommercial-ShareAlike 1.0 Finland", "LicenseRef-CC-NC-SA-1.0-FI"),
        ("ShareAlike 1.0 Generic", "CC-SA-1.0"),
        ("NonCommercial Sampling Plus 1.0", "LicenseRef-CC-NC-SAMPLING-PLUS-1.0"),
        ("GNU General Public License", "GPL-1.0-or-later"),
        ("OpenAI", "LicenseRef-OpenAI-Terms"),
        ("No commercial use without permission", "LicenseRef-Non-Commercial"),
        ("For non-commercial research purposes only", "LicenseRef-Non-Commercial"),
        ("CC BY-NC 4.0, for non-commercial use only", "CC-BY-NC-4.0"),
        ("Photo: J. Doe/Getty Images", "LicenseRef-Getty-Images"),
    ],
)
def test_a_claim_is_read_as_its_spdx_id(text, expected):
    assert ids(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC BY 3.0 US", "CC-BY-3.0-US"),
        ("CC BY 2.5 in", "LicenseRef-CC-BY-2.5-IN"),
        ("Attribution 2.5 India", "LicenseRef-CC-BY-2.5-IN"),
        ("cc-by-sa-3.0-de", "CC-BY-SA-3.0-DE"),
        ("Attribution-ShareAlike 2.5 UK: Scotland", "LicenseRef-CC-BY-SA-2.5-SCOTLAND"),
        ("http://creativecommons.org/licenses/by/2.5/in/deed.hi", "LicenseRef-CC-BY-2.5-IN"),
        ("https://creativecommons.org/licenses/by-nc/3.0/igo", "CC-BY-NC-3.0-IGO"),
        ("Attribution 3.0 Deutschland", "CC-BY-3.0-DE"),
        ("CC BY 2.5 भारत", "LicenseRef-CC-BY-2.5-IN"),
        ("CC BY 2.5 इटली", "LicenseRef-CC-BY-2.5-unknown-port"),
    ],
)
def test_a_port_is_never_rounded_to_the_international_licence(text, expected):
    assert ids(text) == [expected]


@pytest.mark.parametrize(
    "text",
    ["other", "cc", "Creative Commons", "not CC BY 4.0", "all but MIT without rights", "MIT AND",
     "NOT MIT", "MIT/X11", "Photo by John 4.0", "by", "4", "許諾", "creativecommons.org/ns",
     "http://creativecommons.org/licenses/by-nc-<a rel=", "x" * 5000, "a OR " * 2000, "NC 1.0 beta",
     "free for commercial and non-commercial use", "1;2;3", "noncommercial 1.0 license of ours"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_cannot_be_read_for_certain_stays_unread(text):
    reading = read_claim(text)
    assert not reading.ids
    assert reading.unread


@pytest.mark.parametrize("text", ["", " ", "?", "none", "N/A", "Unknown", "unspecified", "null"])
def test_silence_is_no_claim(text):
    assert read_claim(text) == read_claim("")
    assert not read_claim(text).unread


@pytest.mark.parametrize("text", ["CC BY 2.0 (c) Müller", "CC BY 4.0 国际", "CC BY 3.0 Unported"])
def test_what_follows_a_version_is_a_port_only_where_it_stands_for_one(text):
    assert ids(text) == [text[:9].replace(" ", "-")]


def test_several_claims_with_a_semicolon_between_them_are_read_one_by_one():
    assert ids("mit; cc-by-4.0") == ["CC-BY-4.0", "MIT"]
    assert read_claim("MIT; ask the author") == Reading(frozenset({"MIT"}), unread=True)


HUB = [
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m",
    "bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd",
    "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc0-1.0", "cc-by-2.0",
    "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0",
    "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl",
    "lgpl-2.1", "lgpl-3.0", "isc", "h-research", "intel-research", "lppl-1.3c", "ms-pl",
    "apple-ascl", "apple-amlr", "mpl-2.0", "odc-by", "odbl", "openmdw-1.0", "openrail++", "osl-3.0",
    "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl", "lgpl-lr", "deepfloyd-if-license",
    "fair-noncommercial-research-license", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3",
    "llama4", "grok2-community", "gemma"
]  # fmt: skip


@pytest.mark.parametrize("tag", HUB)
def test_every_tag_of_a_dataset_card_is_one_licence(tag):
    assert len(ids(tag)) == 1


@pytest.mark.parametrize("tag", ["other", "cc"])
def test_a_tag_that_names_no_licence_stays_unread(tag):
    assert read_claim(tag).unread


@pytest.mark.parametrize(
    ("number", "expected"),
    [("0", "LicenseRef-All-Rights-Reserved"), ("1", "CC-BY-NC-SA-2.0"), ("4", "CC-BY-2.0"),
     ("9", "CC0-1.0"), ("10", "CC-PDM-1.0"), ("11", None), ("-1", None)],
)  # fmt: skip
def test_flickrs_numbers_are_licences_and_others_are_unread(number, expected):
    reading = read_number(number)
    assert reading == Reading(frozenset({expected} if expected else ()), unread=expected is None)


def test_a_version_in_a_field_of_its_own_is_joined():
    assert ids("by-nc-nd", "2.0") == ["CC-BY-NC-ND-2.0"]
    assert ids("MIT", "2.0") == ["MIT"]


def test_a_sentence_with_two_licences_names_both():
    text = "Images are under CC BY 4.0, code under the MIT License"
    assert sorted(read_rights(text)) == ["CC-BY-4.0", "MIT"]


def test_a_vague_claim_gives_way_to_an_exact_one():
    vague = frozenset({"LicenseRef-CC-BY-unknown-version", "LicenseRef-Public-Domain"})
    assert without_vaguer(vague | {"CC-BY-2.0", "CC0-1.0"}) == {"CC-BY-2.0", "CC0-1.0"}
    assert without_vaguer(vague | {"CC-BY-SA-2.0"}) == vague | {"CC-BY-SA-2.0"}
    port = frozenset({"LicenseRef-CC-BY-2.5-unknown-port"})
    assert without_vaguer(port | {"LicenseRef-CC-BY-2.5-IN"}) == {"LicenseRef-CC-BY-2.5-IN"}
    assert without_vaguer(port | {"CC-BY-3.0"}) == port | {"CC-BY-3.0"}


def test_an_expression_of_unknown_licences_is_none():
    assert expression("Apache-2.0 AND nobody-knows") is None
    assert expression("MIT " * 100) is None


@pytest.mark.shared
def test_no_spdx_name_is_read_as_another_licence(shared):
    listed = json.loads((shared / "licences" / "spdx_licenses.json").read_text())["licenses"]
    names = {row["name"]: row["licenseId"] for row in listed if expression(row["licenseId"])}
    wrong = {
        identifier: ids(name)
        for name, identifier in names.items()
        if ids(name) not in ([], [expression(identifier)])
    }
    assert wrong == {"AML": ["MIT"], "MIT-Modern-Variant": ["MIT"]}, "variants of the same text"
