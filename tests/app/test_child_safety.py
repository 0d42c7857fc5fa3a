"""The protocol CS-01 to CS-14 from end to end, on drawings, words and lists made here.

Nothing sexual is in it: what is suspected are grey blots, by a caption or by their digest.
"""

import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from app.cases import SCRAPED_HOSTS, check_contact, is_scraped
from audits.audit import LONGEST_PX, Batch
from audits.duplicates import DuplicatesAudit
from audits.reading.ingest import ingest
from governance.cases import cases, open_cases
from governance.errors import Refused
from governance.images import decode
from governance.snapshot import MANIFEST, Snapshot
from governance.workspace import Declared, Workspace

pytest.importorskip("nudenet", reason="the detector's weights are not installed")
pytestmark = pytest.mark.xdist_group("child-safety")  # its workspaces are made once
PRAMANA = [sys.executable, "-P", "-m", "app"]
PICTURES = 8
BY_WORDS, BY_LIST = "blots-2.png", "blots-5.png"
HIDDEN = "zebrafinch"  # in caption, creator and address of what is suspected; nowhere else
Answer = subprocess.CompletedProcess[str]


def _pramana(place: Path, *arguments: object) -> Answer:
    command = [*PRAMANA, "--workspace", str(place), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _blots(seed: int) -> bytes:
    shades = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(shades).resize((96, 96), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _write_source(folder: Path) -> None:
    folder.mkdir()
    lines = []
    for number in range(PICTURES):
        name = f"blots-{number}.png"
        (folder / name).write_bytes(_blots(number))
        out = name in {BY_WORDS, BY_LIST}
        caption = f"a naked child {HIDDEN}" if name == BY_WORDS else f"grey blots, number {number}"
        said = {"file_name": name, "text": caption, "license": "CC0-1.0"}
        said |= {"author": HIDDEN, "url": f"https://{HIDDEN}.example/x"} if out else {}
        lines.append(json.dumps(said) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))


def _write_settings(place: Path) -> None:
    listed = _md5((place / "source" / BY_LIST).read_bytes())
    (place / "watch.txt").write_text(f"# a list of one\n{listed}\n")
    digest = hashlib.sha256((place / "watch.txt").read_bytes()).hexdigest()
    (place / "pramana.toml").write_text(
        'operator = "a test"\ncountry = "IN"\ncompute_region = "IN"\n[audits.nsfw]\nhash_lists = ['
        f'{{name = "watch", version = "1", kind = "md5", path = "watch.txt", sha256 = "{digest}"}}]'
    )


def _all_bytes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """A workspace in which eight drawings were audited, two of them suspected; and the answer."""
    place = tmp_path_factory.mktemp("audited")
    _write_source(place / "source")
    _write_settings(place)
    (place / "before.json").write_text(json.dumps(_all_bytes(place / "source")))
    return place, _pramana(place, "audit", place / "source", "--json")


@pytest.fixture
def place(audited: tuple[Path, Answer], tmp_path: Path) -> Path:
    """A copy of that workspace, which a test may alter."""
    return Path(shutil.copytree(audited[0], tmp_path / "place"))


def test_what_is_suspected_closes_the_gate_and_says_where_it_is_reported(
    audited: tuple[Path, Answer],
) -> None:
    place, answer = audited
    assert answer.returncode == 3, answer.stderr
    rules = {rule["id"]: rule for rule in json.loads(answer.stdout)["decision"]["rules"]}
    assert next(iter(rule["policy"] for rule in rules.values() if rule["policy"] != "pramana")) == (
        "child-safety"
    )
    assert (rules["CS-CASE-OPEN"]["violations"], rules["CS-SUSPECTED"]["violations"]) == (2, 2)
    assert "Cases open: 2." in answer.stderr
    assert "cybercrime.gov.in, telephone 1930" in answer.stderr
    assert "Ask counsel before deleting" in answer.stderr
    opened = {(case.rule, case.by) for case in cases(Workspace(place).ledger)}
    assert opened == {
        ("CS-01", "minor and nudity by caption terms"), ("CS-07", "list watch@1"),
    }  # fmt: skip


def test_no_run_starts_while_a_case_is_open(place: Path) -> None:
    answer = _pramana(place, "train", "--minutes", 1)
    assert (answer.returncode, "CS-CASE-OPEN" in answer.stderr) == (3, True), answer.stderr


def _told(path: Path) -> str:
    """Return all that a file holds as text; what Parquet packs is unpacked."""
    packed = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
    return packed + path.read_bytes().decode("latin-1")


def _of_suspected(place: Path) -> Iterator[str]:
    """Yield what must stand nowhere: words of the source, the perceptual hash, encoded bytes."""
    yield HIDDEN
    for name in (BY_WORDS, BY_LIST):
        data = (place / "source" / name).read_bytes()
        yield data[60:90].decode("latin-1")
        row = {"id": "x", "caption": "", "attributes": "{}", "extra": "{}"}
        batch = Batch(
            pa.Table.from_pylist([row], schema=MANIFEST),
            (decode(data, longest_px=LONGEST_PX),),
            (data,),
        )
        phash = DuplicatesAudit().measure(batch)["phash"][0]
        assert isinstance(phash, str)
        yield phash


def test_nothing_of_a_suspected_sample_stands_in_any_file_but_source_and_snapshot(
    place: Path, audited: tuple[Path, Answer]
) -> None:
    reports = place / "reports"
    again = _pramana(place, "audit", place / "source", "--reports", reports)
    assert again.returncode == 3, again.stderr
    listing = _pramana(place, "case", "list").stdout
    sealed = place / ".pramana" / "snapshots"
    files = [
        path
        for path in sorted(place.rglob("*"))
        if path.is_file() and not {place / "source", sealed} & set(path.parents)
    ]
    assert {".parquet", ".json", ".db"} <= {path.suffix for path in files}
    secrets = tuple(_of_suspected(place))
    for said in (audited[1].stdout, audited[1].stderr, again.stdout, again.stderr, listing):
        assert not [secret for secret in secrets if secret in said]
    for path in files:
        told = _told(path)
        assert not [secret for secret in secrets if secret in told], path.name
    assert HIDDEN in _told(next(sealed.rglob("manifest.parquet")))  # the search does find it there


def test_measures_of_a_suspected_sample_are_which_one_it_is_and_what_suspects_it(
    audited: tuple[Path, Answer],
) -> None:
    parts = (audited[0] / ".pramana" / "measures").rglob("part-*.parquet")
    rows = [row for part in parts for row in pq.read_table(part).to_pylist() if row["suspected"]]
    assert len(rows) == 2
    for row in rows:
        assert {name for name, value in row.items() if value is not None} == {
            "id", "sha256", "suspected", "suspected_by",
        }  # fmt: skip


def test_the_list_of_cases_names_image_rule_and_place(audited: tuple[Path, Answer]) -> None:
    place, _ = audited
    answer = _pramana(place, "case", "list")
    assert answer.returncode == 0, answer.stderr
    digest = hashlib.sha256((place / "source" / BY_LIST).read_bytes()).hexdigest()
    assert f"OPEN    {digest}  CS-07 list watch@1" in answer.stdout
    assert "shard 0, row" in answer.stdout
    assert "the Special Juvenile Police Unit or local police" in answer.stdout


@pytest.fixture(scope="module")
def closed(
    audited: tuple[Path, Answer], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Answer]:
    """That workspace after its cases were closed and it was audited again; and the answer."""
    place = Path(shutil.copytree(audited[0], tmp_path_factory.mktemp("closed") / "place"))
    for case in cases(Workspace(place).ledger):
        told = ("--reference", "NCRP 7", "--by", "A. Rao")
        answer = _pramana(place, "case", "close", case.sha256[:12], *told)
        assert answer.returncode == 0, answer.stderr
    return place, _pramana(place, "audit", place / "source", "--json")


def _cleared(place: Path) -> pa.Table:
    return Workspace(place).cleared(Workspace(place).latest_decision())


def test_when_people_have_closed_the_cases_the_gate_opens_and_the_samples_stay_out(
    closed: tuple[Path, Answer],
) -> None:
    place, answer = closed
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["decision"]["verdict"] == "pass"
    assert "Cases open" not in answer.stderr
    cleared = _cleared(place)["id"].to_pylist()
    assert len(cleared) == PICTURES - 2
    assert not [name for name in cleared if name.endswith((BY_WORDS, BY_LIST))]
    listing = _pramana(place, "case", "list").stdout
    assert "by A. Rao · reported · reference NCRP 7" in listing
    assert "No case is open." in listing


def test_nothing_of_the_source_or_the_snapshot_is_ever_changed_or_deleted(
    audited: tuple[Path, Answer], closed: tuple[Path, Answer]
) -> None:
    before, after = (_all_bytes(place / ".pramana" / "snapshots") for place, _ in (audited, closed))
    assert after == before
    known = json.loads((closed[0] / "before.json").read_text())
    assert _all_bytes(closed[0] / "source") == known


def test_a_case_opened_after_samples_were_cleared_stops_the_run(
    closed: tuple[Path, Answer], tmp_path: Path
) -> None:
    place = Path(shutil.copytree(closed[0], tmp_path / "place"))
    found = _cleared(place).slice(0, 1).append_column("suspected", pa.array([True]))
    found = found.append_column("suspected_by", pa.array(["CS-07 list later@2"]))
    open_cases(Workspace(place).ledger, found, snapshot="0" * 64)
    answer = _pramana(place, "train", "--minutes", 1)
    assert (answer.returncode, "CS-03: a case was opened" in answer.stderr) == (3, True)
    assert not list((place / ".pramana").glob("runs/*/checkpoints"))


@pytest.mark.slow
def test_an_image_once_suspected_stays_out_when_nothing_suspects_it_any_more(
    closed: tuple[Path, Answer], tmp_path: Path
) -> None:
    place = Path(shutil.copytree(closed[0], tmp_path / "place"))
    (place / "pramana.toml").write_text('operator = "a test"\ncountry = "IN"\n')  # no list
    _pramana(place, "audit", place / "source")
    ids = _cleared(place)["id"].to_pylist()
    assert len(ids) == PICTURES - 2
    assert not [name for name in ids if name.endswith(BY_LIST)]


def _snapshot(folder: Path, addresses: list[str]) -> Snapshot:
    """A snapshot of one picture an address; what it holds does not matter here."""
    images = [_blots(number) for number in range(len(addresses))]
    table = pa.table({"image": images, "caption": ["x"] * len(images), "url": addresses})
    pq.write_table(table, folder / "set.parquet")
    return ingest([str(folder / "set.parquet")], snapshots=folder / "snapshots")


def _hosts(count: int, form: str = "https://host{}.example/{}.jpg") -> list[str]:
    return [form.format(number, number) for number in range(count)]


@pytest.mark.parametrize(
    ("addresses", "scraped"),
    [
        (_hosts(SCRAPED_HOSTS), False),
        (_hosts(SCRAPED_HOSTS + 1), True),
        (_hosts(30, "https://one.example/{}/{}.jpg"), False),
        (_hosts(12, "HTTP://User@Host{}.example:80/{}"), True),
        (_hosts(30, "/pictures/host{}/{}.jpg"), False),
        ([*_hosts(10), *(address.upper() for address in _hosts(10))], False),
    ],
    ids=["ten hosts", "eleven", "one host", "ports and users", "paths", "capitals"],
)
def test_more_than_ten_web_hosts_count_as_scraped(
    tmp_path: Path,
    addresses: list[str],
    scraped: bool,  # noqa: FBT001
) -> None:
    assert is_scraped(_snapshot(tmp_path, addresses)) is scraped


def test_scraped_data_is_not_measured_before_somebody_answers_for_it(tmp_path: Path) -> None:
    _snapshot(tmp_path, _hosts(11))
    answer = _pramana(tmp_path, "audit", tmp_path / "set.parquet")
    assert answer.returncode == 3
    assert 'Write `legal_contact = "name and address"` in pramana.toml' in answer.stderr
    assert not Workspace(tmp_path).ledger.entries("measured")


def test_scraped_data_that_somebody_answers_for_is_admitted(tmp_path: Path) -> None:
    snapshot = _snapshot(tmp_path, _hosts(11))
    check_contact(Declared(legal_contact="A. Counsel, 1 Court Road"), snapshot)
    with pytest.raises(Refused, match="CS-05"):
        check_contact(Declared(legal_contact="  "), snapshot)


SHARED: dict[str, Callable[[Path], list[Path]]] = {
    "emoji": lambda data: sorted((data / "emoji").glob("emoji-*.parquet")),
    "photographs": lambda data: [data / "photos" / "grocery.parquet"],
}


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("sources", SHARED.values(), ids=SHARED.keys())
def test_sets_of_a_few_projects_are_not_taken_for_scraped(
    tmp_path: Path, shared: Path, sources: Callable[[Path], list[Path]]
) -> None:
    snapshot = ingest([str(path) for path in sources(shared)], snapshots=tmp_path)
    assert not is_scraped(snapshot)
