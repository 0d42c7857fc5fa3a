import json

import pytest

from audits.rights.hosts import AI_CRAWLERS
from audits.rights.optout import has_notice, in_properties, recorded

URL = "https://example.org/a/1.jpg"
HEADERS = {"X-Robots-Tag": "noai, noimageai", "Server": "x", "TDM-Reservation": "1"}
ALL = ["robots:noai", "robots:noimageai", "tdm-reservation"]


def signals(extra, url=URL):
    return sorted({s for _, found in recorded(extra, url, AI_CRAWLERS) for s in found})


@pytest.mark.parametrize(
    "written",
    [
        HEADERS, json.dumps(HEADERS), [[name, value] for name, value in HEADERS.items()],
        [{"name": name, "value": value} for name, value in HEADERS.items()],
        "HTTP/1.1 200 OK\r\n" + "\r\n".join(f"{n.upper()}: {v}" for n, v in HEADERS.items()),
    ],
    ids=["object", "JSON", "pairs", "list of objects", "as received"],
)  # fmt: skip
@pytest.mark.parametrize("column", ["http_headers", "Response-Headers", "headers"])
def test_headers_are_read_however_they_were_written_down(column, written):
    assert signals({column: written}) == ALL


@pytest.mark.parametrize(
    "written",
    [
        '<head><meta name="robots" content="noai, noimageai"><META NAME=tdm-reservation content=1>',
        [{"name": "robots", "content": "noai,noimageai"},
         {"name": "tdm-reservation", "content": "1"}],
        {"robots": "noai noimageai", "tdm-reservation": "1"},
        "<META CONTENT='noai,noimageai'\nNAME=ROBOTS/>1<2<meta name=tdm-reservation content='1'>",
    ],
    ids=["page", "list", "object", "an untidy page"],
)  # fmt: skip
def test_meta_elements_are_read_however_they_were_written_down(written):
    assert signals({"html_meta": written}) == ALL


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"meta_robots": "noai"}, ["robots:noai"]),
        ({"html_meta": '<meta name="GPTBot" content="noai">'}, ["robots:noai"]),
        ({"html_meta": '<meta name="otherbot" content="noai">'}, []),
        ({"x_robots_tag": "gptbot: noai"}, ["robots:noai"]),
        ({"x_robots_tag": "otherbot: noai, noimageai"}, ["robots:noimageai"]),
        ({"x_robots_tag": "unavailable_after: 25 Jun 2030"}, []),
        ({"tdm_reservation": "maybe"}, ["tdm-reservation:unreadable"]),
        ({"tdm_reservation": True}, ["tdm-reservation"]),
        ({"tdm_policy": "https://example.org/p.json"}, []),
        ({"headers": {"Content-Usage": "train-genai=n;exceptions=cc-cr-ec"}},
         ["content-usage:train-genai"]),
        ({"headers": {"Content-Usage": "train-ai=y, search=n"}}, []),
        ({"robots_txt": "User-agent: *\nDisallow: /a/"}, ["robots.txt:*"]),
        ({"ai_txt": "User-Agent: *\nDisallow: *.jpg"}, ["ai.txt:*"]),
        ({"tdmrep": [{"location": "/a/*", "tdm-reservation": 1}]}, ["tdmrep.json"]),
        ({"tdmrep_json": "{"}, ["tdmrep.json:unreadable"]),
        ({"headers": '{"X-Robots-Tag": '}, ["tdm-reservation:unreadable"]),
        ({"headers": 7, "html_meta": None, "meta_tags": [1, [2, 3], ["a"]]}, []),
        ({"headers": {"X-Robots-Tag": None, "": "noai"}}, []),
    ],
)  # fmt: skip
def test_each_signal_is_read_where_it_was_recorded(extra, expected):
    assert signals(extra) == expected


def test_what_was_looked_at_is_told_even_where_it_reserves_nothing():
    looked = dict(recorded({"headers": {"X-Robots-Tag": "noindex"}, "similarity": 1}, URL, ()))
    assert looked == {"xrobotstag": ()}


@pytest.mark.parametrize(
    "text",
    ["No AI training.", "Not to be used for training AI models", "AI training prohibited",
     "All rights reserved, text and data mining reserved", "NO-AI use",
     "Training of machine learning models without permission is forbidden"],
)  # fmt: skip
def test_words_against_training_are_noticed(text):
    assert has_notice(text)


@pytest.mark.parametrize(
    "text",
    ["", "(c) 2024 Example", "No AI was used", "No rights reserved; AI generated",
     "All rights reserved", "Not for commercial use", "A training session of the national team"],
)  # fmt: skip
def test_other_words_are_not(text):
    assert not has_notice(text)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"plus:DataMining": ("http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING",)},
         ["plus:DMI-PROHIBITED-AIMLTRAINING"]),
        ({"plus:DataMining": ("DMI-ALLOWED", "DMI-UNSPECIFIED")}, []),
        ({"tdm:reservation": ("1",)}, ["tdm-reservation"]),
        ({"tdm:reservation": ("0",)}, []),
    ],
)  # fmt: skip
def test_properties_inside_a_file_are_read(said, expected):
    assert list(in_properties(said)) == expected
