import csv
import json
import re

import pyarrow.parquet as pq
import pytest

from audits.spdx import expression, read_claim, read_rights, without_vaguer


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
    ],
)
def test_a_port_is_never_rounded_to_the_international_licence(text, expected):
    assert ids(text) == [expected]


@pytest.mark.parametrize(
    "text",
    ["other", "cc", "Creative Commons", "not CC BY 4.0", "all but MIT without rights", "MIT AND",
     "NOT MIT", "MIT/X11", "Photo by John 4.0", "by", "4", "許諾", "creativecommons.org/ns",
     "http://creativecommons.org/licenses/by-nc- sa/3.0/", "x" * 5000, "a OR " * 2000],
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


def test_an_expression_of_unknown_licences_is_none():
    assert expression("Apache-2.0 AND nobody-knows") is None
    assert expression("MIT " * 100) is None


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.shared
def test_all_614_deeds_are_told_apart(shared):
    rows = rows_of(shared / "licences" / "cc_licenses.csv")
    read = {row["uri"]: ids(row["uri"]) for row in rows}
    assert len(rows) == 614
    assert [uri for uri, found in read.items() if len(found) != 1] == []
    assert all(read[row["uri"]] == [row["spdx_id"]] for row in rows if row["spdx_id"])
    unnamed = [read[row["uri"]][0] for row in rows if row["jurisdiction"] and not row["spdx_id"]]
    assert all(name.startswith("LicenseRef-CC-") for name in unnamed)


@pytest.mark.shared
def test_addresses_in_the_wild_are_read_like_the_deed_they_lead_to(shared):
    """974 of 1,087 name a licence; the rest are other pages, or five broken spellings."""
    official = {
        re.sub(r"^\w+://|/$", "", row["uri"]): ids(row["uri"])
        for row in rows_of(shared / "licences" / "cc_licenses.csv")
    }
    rows = rows_of(shared / "licences" / "cc_urls_in_the_wild.csv")
    found = {row["host"] + row["path"]: ids(f"http://{row['host']}{row['path']}") for row in rows}
    assert sum(bool(names) for names in found.values()) == 974
    compared = 0
    for address, names in found.items():
        deed = re.sub(r"/+(deed|legalcode|rdf|\d+x\d+)[^/]*$|/$", "", address).replace("//", "/")
        deed = re.sub(r"^i\.creativecommons\.org/l/", "creativecommons.org/licenses/", deed)
        if deed in official:
            compared += 1
            assert names == official[deed], address
    assert compared > 800


@pytest.mark.shared
def test_openverse_and_coco_rows_are_all_read(shared):
    folder = shared / "licences"
    openverse = pq.read_table(folder / "openverse_samples.parquet").to_pylist()
    assert all(len(ids(row["license"], row["license_version"])) == 1 for row in openverse)
    for row in pq.read_table(folder / "coco_val2017_captions.parquet").to_pylist():
        both = read_claim(row["license_name"]).ids | read_claim(row["license_url"]).ids
        assert len(without_vaguer(both)) == 1, "name without version, address with it"


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
