import pickle

import pytest

from audits.licence import LicenceAudit
from audits.registry import audits_of
from audits.rights.hosts import AI_CRAWLERS, AI_TXT, ROBOTS, TDMREP, Crawl, host_of, optouts_in
from governance.errors import EvidenceMissing, Tampered, UsageError
from made import measured_by

URL = "https://Pics.Example.org:8443/a/1.jpg"


def said(name, text, url=URL, agents=AI_CRAWLERS):
    return list(optouts_in(name, text, url, agents))


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ("", []),
        ("User-agent: *\nDisallow:", []),
        ("User-agent: *\nDisallow: /", ["robots.txt:*"]),
        ("\ufeffUser-agent: *\r\nDisallow: /a/\r\n", ["robots.txt:*"]),
        ("User-agent: *\nDisallow: /b/", []),
        ("User-agent: GPTBot\nDisallow: /", ["robots.txt:GPTBot"]),
        ("user-agent: gptbot # them\nuser-agent: CCBOT\ndisallow: /",
         ["robots.txt:CCBot", "robots.txt:GPTBot"]),
        ("User-agent: GPTBot\nDisallow: /\nAllow: /a/", []),
        ("User-agent: *\nDisallow: /\n\nUser-agent: GPTBot\nAllow: /", ["robots.txt:*"]),
        ("User-agent: SearchBot\nDisallow: /", []),
        ("User-agent: *\nDisallow: /*.jpg$", ["robots.txt:*"]),
        ("User-agent: *\nAllow: /\nContent-Signal: search=yes, ai-train=no",
         ["robots.txt:ai-train"]),
        ("User-agent: *\nContent-Usage: train-ai=n", ["robots.txt:train-ai"]),
        ("User-agent: *\nContent-Usage: search=n", []),
        ("<html>not found</html>", []),
        ("\0\xff" * 99, []),
    ],
    ids=["empty", "allows", "everybody", "BOM and CRLF", "elsewhere", "one", "a group, any case",
         "allowed here", "everybody but one", "a search engine", "by ending", "content signal",
         "content usage", "another use", "a page", "noise"],
)  # fmt: skip
def test_robots_txt_is_read_for_crawlers_that_gather_for_training(text, signals):
    assert said(ROBOTS, text) == signals


def test_only_the_crawlers_asked_for_count():
    text = "User-agent: OurBot\nDisallow: /"
    assert said(ROBOTS, text) == []
    assert said(ROBOTS, text, agents=("OurBot",)) == ["robots.txt:OurBot"]


@pytest.mark.parametrize("url", ["", "not an address", "http://[bad", "//", "/a.jpg"])
def test_where_the_address_is_not_known_the_root_counts(url):
    assert host_of(url) == ""
    assert said(ROBOTS, "User-agent: *\nDisallow: /", url=url) == ["robots.txt:*"]
    assert said(ROBOTS, "User-agent: *\nDisallow: /private/", url=url) == []


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ('[{"location": "/", "tdm-reservation": 1}]', ["tdmrep.json"]),
        ('{"location": "/", "tdm-reservation": 1}', ["tdmrep.json"]),
        ('[{"location": "/", "tdm-reservation": 0}]', []),
        ('[{"location": "/b/", "tdm-reservation": 1}]', []),
        ('[{"location": "/a/", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]',
         []),
        ('[{"location": "/*.jpg$", "tdm-reservation": 1}]', ["tdmrep.json"]),
        ("[]", []),
        ("", ["tdmrep.json:unreadable"]),
        ("<html>", ["tdmrep.json:unreadable"]),
        ('[{"location": "/", "tdm-reservation": "1"}]', ["tdmrep.json:unreadable"]),
        ('[{"location": "/", "tdm-reservation": true}]', ["tdmrep.json:unreadable"]),
        ('[{"location": "/\\nAllow: /", "tdm-reservation": 1}]', ["tdmrep.json:unreadable"]),
        ('[{"tdm-reservation": 1}]', ["tdmrep.json:unreadable"]),
        ('["/"]', ["tdmrep.json:unreadable"]),
        ('[{"location": "/", "tdm-reservation": 1, "tdm-reservation": 0}]',
         ["tdmrep.json:unreadable"]),
    ],
    ids=["all", "one rule", "free", "elsewhere", "the first that matches", "by ending", "no rule",
         "empty", "a page", "a text", "a truth", "an injected line", "no location", "no rules",
         "a key twice"],
)  # fmt: skip
def test_a_reservation_counts_and_so_does_a_file_that_cannot_be_read(text, signals):
    assert said(TDMREP, text) == signals


@pytest.fixture
def kept(tmp_path):
    host = tmp_path / "crawl" / "pics.example.org"
    host.mkdir(parents=True)
    (host / "robots.txt").write_text("User-agent: CCBot\nDisallow: /")
    (host / "ai.txt").write_text("User-Agent: *\nDisallow: *.png")
    (host / "tdmrep.json").write_text("oops")
    (tmp_path / "crawl" / "other.example.org").mkdir()
    return tmp_path


def test_what_the_crawl_kept_is_matched_to_the_host_of_a_sample(kept):
    (audit,) = (
        a for a in audits_of({"licence": {"crawl": "crawl"}}, folder=kept) if a.name == "licence"
    )
    page = {"extra": {"landing_url": "https://pics.example.org/page"}}
    rows = measured_by(
        pickle.loads(pickle.dumps(audit)),  # noqa: S301  as a worker gets it
        {"source_url": URL},
        {"source_url": "https://other.example.org/1.png"},
        {"source_url": "https://cdn.example.org/1.png", **page},
        {},
    )
    assert rows[0]["optout"] == ["robots.txt:CCBot", "tdmrep.json:unreadable"]
    assert rows[0]["optout_evidence"] == [f"crawl:{name}" for name in (AI_TXT, ROBOTS, TDMREP)]
    assert rows[2]["optout"] == rows[0]["optout"], "the page the picture stands on counts too"
    assert [row["optout_evidence"] for row in (rows[1], rows[3])] == [[], []]


def test_the_digest_of_settings_names_the_content_of_the_crawl_and_not_its_place(kept, tmp_path):
    first = Crawl.at(kept / "crawl")
    assert str(kept) not in repr(LicenceAudit(crawl=first))
    moved = (kept / "crawl").rename(tmp_path / "moved")
    assert repr(Crawl.at(moved)) == repr(first)
    (moved / "pics.example.org" / "ai.txt").write_text("")
    assert repr(Crawl.at(moved)) != repr(first)


def test_a_crawl_that_changed_under_the_audit_is_refused(kept):
    crawl = Crawl.at(kept / "crawl")
    (kept / "crawl" / "pics.example.org" / "robots.txt").write_text("")
    with pytest.raises(Tampered, match="crawl changed"):
        crawl.said_of(URL)


@pytest.mark.parametrize(
    ("table", "fault", "told"),
    [
        ({"crawl": "nowhere"}, EvidenceMissing, "no file 'nowhere'"),
        ({"crawl": "empty"}, UsageError, "keeps nothing of a crawl"),
        ({"crawl": 4}, UsageError, "key 'crawl'"),
        ({"agents": "GPTBot"}, UsageError, "key 'agents'"),
        ({"agents": ["bad\nname"]}, UsageError, "key 'agents.0'"),
        ({"robots": True}, UsageError, "key 'robots'"),
    ],
)
def test_a_setting_that_cannot_hold_is_refused_with_a_sentence(tmp_path, table, fault, told):
    (tmp_path / "empty").mkdir()
    with pytest.raises(fault, match=told):
        LicenceAudit.of(table, tmp_path)


def test_agents_of_the_operator_replace_ours(tmp_path):
    audit = LicenceAudit.of({"agents": ["OurBot"]}, tmp_path)
    text = "User-agent: GPTBot\nUser-agent: OurBot\nDisallow: /"
    (row,) = measured_by(audit, {"extra": {"robots_txt": text}})
    assert row["optout"] == ["robots.txt:OurBot"]
