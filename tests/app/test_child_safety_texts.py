"""What our own files say and reach for: no claim of absence, no network, no picture on a screen."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = [
    path
    for pattern in (
        "README.md", "docs/*.md", "app/**/*.py", "audits/**/*.py", "audits/**/*.yaml",
        "policies/**/*.yaml", "policies/**/*.py", "governance/**/*.py", "training/**/*.py",
    )
    for path in sorted(ROOT.glob(pattern))
]  # fmt: skip
# What no report may say of a data set (CS-13), and what a program cannot know of the law.
CLAIMS = re.compile(
    r"(csam|cseam|abuse)[- ]free|free (of|from) (csam|cseam|abuse)|no (csam|cseam)\b"
    r"|contains no (csam|cseam|illegal|sexual)|(is|are|fully|100 ?%) (safe|compliant)\b"
    r"|guaranteed? (safe|compliant|clean)|certified (safe|compliant|clean)|\bcompliant (data|set)",
    re.IGNORECASE,
)
NETWORK = re.compile(
    r"^\s*(import|from) (socket|ssl|http|urllib\.request|requests|httpx|aiohttp|ftplib|smtplib)\b",
    re.MULTILINE,
)
SCREENING = (
    "nsfw",
    "worker",
    *(f"screening/{p.stem}" for p in sorted((ROOT / "audits" / "screening").glob("*.py"))),
)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_text_of_ours_claims_that_nothing_is_there(path: Path) -> None:
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert not CLAIMS.search(text), CLAIMS.search(text)


@pytest.mark.parametrize(
    "claim",
    ["This set is CSAM-free.", "free of CSAM", "The data is safe to train on", "100% compliant",
     "contains no illegal content", "certified clean"],
)  # fmt: skip
def test_the_search_finds_such_claims(claim: str) -> None:
    assert CLAIMS.search(claim)


def test_every_text_about_a_match_says_that_none_is_no_claim_of_absence() -> None:
    said = (ROOT / "audits" / "screening" / "exposure.py").read_text()
    assert said.count("no claim of absence") == said.count("{_match(")


@pytest.mark.parametrize("module", SCREENING)
def test_screening_reaches_no_network(module: str) -> None:
    assert not NETWORK.search((ROOT / "audits" / f"{module}.py").read_text())
    assert not NETWORK.search((ROOT / "governance" / "cases.py").read_text())
    assert not NETWORK.search((ROOT / "app" / "cases.py").read_text())


def test_nothing_in_app_opens_a_shard_or_decodes_a_picture_of_a_dataset() -> None:
    """CS-06, CS-10: what is not screened, or suspected, cannot be shown where nothing is.

    `redteam` attacks shards of its own scratch data, which it draws, and shows nothing.
    """
    readers = re.compile(
        r"open_shard|OpenShard|pictures_of|governance\.images|images import decode"
    )
    found = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "app").rglob("*.py"))
        if "redteam" not in path.parts and readers.search(path.read_text())
    ]
    assert not found


def test_no_hash_list_no_network_and_no_picture_of_a_person_comes_with_the_program() -> None:
    packages = ("governance", "policies", "audits", "training", "app")
    kinds = {path.suffix for name in packages for path in (ROOT / name).rglob("*.*")}
    assert not kinds & {".onnx", ".safetensors", ".pt", ".jpg", ".jpeg", ".png", ".webp", ".txt"}


def test_every_rule_of_the_protocol_has_a_row_that_names_what_holds_it() -> None:
    text = (ROOT / "docs" / "child-safety.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (CS-\d\d) \|(.*)\|$", text, flags=re.MULTILINE))
    assert list(rows) == [f"CS-{number:02}" for number in range(1, 15)]
    names = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), flags=re.MULTILINE)
    }
    for rule, row in rows.items():
        held = set(re.findall(r"`(test_\w+)`", row))
        assert held <= names, (rule, held - names)
        assert held or "not built" in row, rule
