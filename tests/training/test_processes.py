"""Processes as torchrun starts them: what they find is what one process finds, and none is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from governance.canon import parse_json
from governance.errors import Tampered, UsageError
from training.records.meters import Energy
from training.records.receipt import Receipt, in_order
from training.start import host_class
from training.team.launch import launched

WORKER = Path(__file__).with_name("elastic.py")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
HERE = {name: value for name, value in os.environ.items() if name not in {"RANK", "WORLD_SIZE"}}
STEPS, STOP = 5, 3
WAYS = pytest.mark.parametrize(
    ("optimiser", "stretches"),
    [
        ("adamw", ((2, STOP), (1, STEPS))),
        ("adamw", ((1, STOP), (2, STEPS))),
        ("muon", ((2, STEPS),)),
    ],
    ids=["two, then one", "one, then two", "two with Muon"],
)


def _trained(folder: Path, parallel: str, optimiser: str, *stretches: tuple[int, int]) -> Path:
    """Train in stretches, each on so many processes up to a step."""
    folder.mkdir(exist_ok=True)
    for count, until in stretches:
        python = (*TORCHRUN, str(count)) if count > 1 else (sys.executable,)
        arguments = (str(WORKER), str(folder), parallel, optimiser, str(until))
        ended = subprocess.run(
            [*python, *arguments], capture_output=True, text=True, check=False, env=HERE
        )
        assert ended.returncode == 0, ended.stderr
    return folder


def _losses(folder: Path) -> list[tuple[float, float]]:
    lines = [parse_json(line) for line in (folder / "losses.jsonl").read_bytes().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    return [(float.fromhex(line["loss"]), float.fromhex(line["norm"])) for line in lines]


def _told(folder: Path) -> list:
    return parse_json((folder / "told.json").read_bytes())


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One process, in one go, with each optimiser."""
    folder = tmp_path_factory.mktemp("straight")
    return {kind: _trained(folder / kind, "ddp", kind, (1, STEPS)) for kind in ("adamw", "muon")}


@pytest.mark.slow
@WAYS
def test_data_parallel_processes_find_the_same_losses_to_the_bit(
    tmp_path: Path, straight, optimiser, stretches
) -> None:
    folder = _trained(tmp_path / "run", "ddp", optimiser, *stretches)
    assert _losses(folder) == _losses(straight[optimiser])
    (step, _, receipt, count), expected = _told(folder), _told(straight[optimiser])
    assert (step, receipt) == (expected[0], expected[2])
    assert (count, expected[3]) == (stretches[-1][0], 1)
    saved = [(path / "saved.json").read_bytes() for path in (folder, straight[optimiser])]
    assert saved[0] == saved[1]


@pytest.mark.slow
@WAYS
def test_a_model_that_is_spread_finds_them_within_rounding_and_comes_back_exactly(
    tmp_path: Path, straight, optimiser, stretches
) -> None:
    folder = _trained(tmp_path / "run", "fsdp2", optimiser, stretches[0])
    saved = (folder / "saved.json").read_bytes()
    for stretch in stretches[1:]:
        _trained(folder, "fsdp2", optimiser, stretch)
        assert (folder / "loaded.json").read_bytes() == saved
    for found, expected in zip(_losses(folder), _losses(straight[optimiser]), strict=True):
        assert found == pytest.approx(expected, rel=1e-5)
    assert _told(folder)[2] == _told(straight[optimiser])[2]


@pytest.mark.slow
def test_parts_that_cannot_be_shared_evenly_are_refused(tmp_path: Path) -> None:
    arguments = (str(WORKER), str(tmp_path), "ddp", "adamw", "1")
    ended = subprocess.run(
        [*TORCHRUN, "3", *arguments], capture_output=True, text=True, check=False, env=HERE
    )
    assert ended.returncode == 1  # torchrun's own, whatever its processes ended with
    assert "A batch has 4 parts, which 3 processes cannot share evenly" in ended.stderr


def test_what_processes_read_is_put_into_the_order_of_each_batch() -> None:
    first, second = [(b"a", b"b"), (b"e",)], [(b"c", b"d"), (b"f",)]
    due = [(b"a", b"b", b"c", b"d"), (b"e", b"f")]
    assert b"".join(in_order([first, second], due)) == b"abcdef"
    one = Receipt().extended([b"a", b"b", b"c", b"d", b"e", b"f"])
    assert Receipt().extended(in_order([first, second], due)) == one


@pytest.mark.parametrize(
    "read",
    [[[(b"a", b"x")]], [[(b"b", b"a")]], [[(b"a",)]], [[(b"b",)], [(b"a",)]]],
    ids=["another picture", "turned round", "one too few", "processes exchanged"],
)
def test_a_picture_that_was_not_due_is_tampering(read) -> None:
    with pytest.raises(Tampered, match="other pictures than the order"):
        list(in_order(read, [(b"a", b"b")]))


@pytest.mark.parametrize(
    "said",
    [{"RANK": "0"}, {"RANK": "0", "LOCAL_RANK": "0"},
     {"RANK": "x", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}],
    ids=["one of three", "two of three", "no number"],
)  # fmt: skip
def test_an_environment_that_says_half_is_refused(monkeypatch, said) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert launched() is None
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="torchrun"):
        launched()


def test_joules_of_processes_add_up_and_say_how_they_are_known() -> None:
    def energy(joules: float, method: str) -> Energy:
        return Energy(
            joules=joules, joules_low=joules / 2, joules_high=2 * joules,
            joules_method=method, joules_source=f"{method} here",
        )  # fmt: skip

    both = Energy.added([energy(3.0, "rapl"), energy(4.0, "estimate"), energy(1.0, "rapl")])
    assert (both.joules, both.joules_low, both.joules_high) == (8.0, 4.0, 16.0)
    assert both.joules_method == "rapl + estimate"
    assert both.joules_source == "rapl here; estimate here"


def test_processes_on_a_processor_are_no_other_host() -> None:
    assert host_class("cpu", world=2) == host_class()
