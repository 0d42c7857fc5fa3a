"""Meters: counters as the kernel and NVML show them, an estimate that says so, and money."""

from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev

import pytest

from governance.errors import UsageError
from training.records.journal import Journal
from training.records.meters import Counter, Meter, Rate
from training.records.receipt import ReceiptLine
from training.records.window import Window
from training.state import Counts


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """A counter of joules that a test moves."""

    joules = 0.0

    def read(self) -> float:
        return self.joules


class FakeNvml:
    """NVML as `pynvml` shows it: one accelerator, counted in millijoules."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, counts: bool = True) -> None:
        self.millijoules, self.counts, self.begun = 5_000_000, counts, False

    def nvmlInit(self) -> None:  # noqa: N802  its name
        self.begun = True

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:  # noqa: N802  its name
        assert self.begun
        if uuid != "GPU-1":
            raise self.NVMLError("Not Found")
        return 7

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:  # noqa: N802  its name
        assert handle == 7
        if not self.counts:
            raise self.NVMLError("Not Supported")
        return self.millijoules


def zone(root: Path, name: str, called: str, microjoules: int, most: int = 262_143_328_850) -> Path:
    folder = root / "sys" / "class" / "powercap" / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{called}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{most}\n")
    return folder / "energy_uj"


def counter(counting: Counting, *, wraps_at: float = 100.0) -> Counter:
    return Counter(
        method="made", source="here", read=counting.read, low=0.9, high=1.1, wraps_at=wraps_at
    )


def test_packages_and_their_memory_are_counted_and_cores_within_them_are_not(tmp_path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    cores = zone(tmp_path, "intel-rapl:0:0", "core", 1_000_000)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 2_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0)  # the same package, read another way
    meter = Meter.open(watts_per_core=10.0, root=tmp_path)
    package.write_text("31000000")
    cores.write_text("21000000")
    memory.write_text("7000000")
    energy = meter.window()
    assert energy.joules == pytest.approx(30 + 5)
    assert (energy.joules_low, energy.joules_high) == pytest.approx((0.95 * 35, 1.05 * 35))
    assert energy.joules_method == "rapl"
    assert energy.joules_source == (
        "/sys/class/powercap/intel-rapl:0/energy_uj; /sys/class/powercap/intel-rapl:0:1/energy_uj"
    )


def test_a_counter_that_began_again_is_counted_on(tmp_path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 65_000_000, most=65_536_000)
    meter = Meter.open(watts_per_core=10.0, root=tmp_path)
    package.write_text("1000000")
    assert meter.window().joules == pytest.approx(1.536)


@pytest.mark.parametrize("text", ["", "no number"], ids=["empty", "text"])
def test_a_zone_that_cannot_be_read_leaves_an_estimate_that_says_so(tmp_path, text: str) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    zone(tmp_path, "intel-rapl:1", "package-1", 1).write_text(text)
    meter = Meter.open(watts_per_core=20.0, root=tmp_path)
    sum(number * number for number in range(200_000))
    energy = meter.window()
    assert energy.joules > 0
    assert energy.joules_method == "estimate"
    assert energy.joules_source == "processor seconds times 20 W, assumed"
    assert energy.joules_low == pytest.approx(energy.joules / 2)
    assert energy.joules_high == pytest.approx(energy.joules * 2)


def test_an_accelerator_is_counted_beside_the_processors(tmp_path) -> None:
    package, nvml = zone(tmp_path, "intel-rapl:0", "package-0", 0), FakeNvml()
    meter = Meter.open(watts_per_core=10.0, accelerators=["GPU-1"], nvml=nvml, root=tmp_path)
    nvml.millijoules += 700_000
    package.write_text("100000000")
    energy = meter.window()
    assert energy.joules == pytest.approx(700 + 100)
    assert energy.joules_method == "nvml + rapl"
    assert "GPU-1" in energy.joules_source


@pytest.mark.parametrize(
    ("nvml", "uuid"),
    [(FakeNvml(), "GPU-2"), (FakeNvml(counts=False), "GPU-1")],
    ids=["another accelerator", "too old to count"],
)
def test_an_accelerator_that_cannot_be_counted_is_refused(tmp_path, nvml, uuid: str) -> None:
    with pytest.raises(UsageError, match="NVML does not tell"):
        Meter.open(watts_per_core=10.0, accelerators=[uuid], nvml=nvml, root=tmp_path)


def test_windows_add_up_to_what_was_counted() -> None:
    counting = Counting()
    meter = Meter((counter(counting),))
    counting.joules = 40.0
    first = meter.window()
    counting.joules = 70.0
    assert (first.joules, meter.window().joules, meter.window().joules) == (40.0, 30.0, 0.0)


def test_a_counter_is_read_between_windows_before_it_can_wrap_twice() -> None:
    counting, clock = Counting(), Clock()
    meter = Meter((counter(counting),), clock)
    for _ in range(30):
        counting.joules, clock.now = (counting.joules + 60.0) % 100.0, clock.now + 10.0
        meter.poll()
    assert meter.window().joules == pytest.approx(1800.0)


def test_polls_in_quick_succession_read_once() -> None:
    read, clock = [], Clock()
    counting = Counter(method="made", source="", read=lambda: float(len(read)), low=1, high=1)
    meter = Meter((counting,), clock)
    for tenth in range(1, 101):
        clock.now = tenth / 10
        read.append(tenth)
        meter.poll()
        assert bool(meter.counted[0]) == (tenth == 100)


def test_a_rate_is_an_amount_and_a_currency() -> None:
    rate = Rate.read("300 INR")
    assert rate == Rate(per_hour=300.0, currency="INR")
    assert rate.cost(720.0) == pytest.approx(60.0)
    assert Rate.read("") is None


@pytest.mark.parametrize("text", ["300", "INR 300", "-3 INR", "300 inr", "1e3 INR", "3 INR "])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="hourly_rate"):
        Rate.read(text)


def closed(window: Window, counts: Counts) -> ReceiptLine:
    return window.close(counts, energy=window.meter.window(), cost=None, currency="")


def test_a_line_speaks_of_what_happened_since_the_line_before() -> None:
    counting = Counting()
    window = Window(meter=Meter((counter(counting, wraps_at=1e9),)), began=Counts())
    lines, losses, counts = [], [3.0, 1.0, 2.0, 0.5, 0.25], Counts()
    for number, loss in enumerate(losses, start=1):
        counts = counts.after_step(8, loss=loss, lr_share=1, train_s=0.5)
        counting.joules += 10.0
        window.stepped(loss)
        if number in {3, 5}:
            counts = counts.received([bytes([number]) * 32])
            lines.append(closed(window, counts))
    first, second = lines
    assert (first.first_sample, first.last_sample) == (1, 24)
    assert (second.first_sample, second.last_sample) == (25, 40)
    assert (first.seconds, second.seconds) == pytest.approx((1.5, 1.0))
    assert (first.joules, second.joules) == pytest.approx((30.0, 20.0))
    assert (second.joules_low, second.joules_high) == pytest.approx((18.0, 22.0))
    assert (first.loss_mean, first.loss_std) == pytest.approx((2.0, pstdev([3.0, 1.0, 2.0])))
    assert (first.loss_min, first.loss_max) == (1.0, 3.0)
    assert second.loss_mean == pytest.approx(fmean([0.5, 0.25]))
    assert second.receipt == counts.receipt


def test_a_stretch_without_a_step_has_no_line() -> None:
    with pytest.raises(ValueError, match="data point"):
        closed(Window(meter=Meter(()), began=Counts()), Counts())


def test_the_lines_of_a_run_follow_one_another_and_add_up_to_its_result(finished) -> None:
    rows = Journal(finished.run / "receipts.jsonl").read()
    lines = [ReceiptLine.from_json(row) for row in rows]
    assert len(lines) > 1
    assert lines[0].first_sample == 1
    for before, after in pairwise(lines):
        assert after.first_sample == before.last_sample + 1
        assert after.step > before.step
    assert lines[-1].last_sample == finished.result.samples_seen
    assert sum(line.seconds for line in lines) == pytest.approx(finished.result.train_s)
    assert sum(line.joules for line in lines) == pytest.approx(finished.result.joules)
    assert finished.result.joules_low < finished.result.joules < finished.result.joules_high
    assert lines[0].joules_method in {"estimate", "rapl"}
    assert (finished.result.cost, finished.result.currency) == (None, "")
    assert {line.cost_so_far for line in lines} == {None}
    metrics = Journal(finished.run / "metrics.jsonl").read()
    losses = [row["loss"] for row in metrics if row["step"] <= lines[0].step]
    assert lines[0].loss_mean == pytest.approx(fmean(losses))


def test_the_ledger_is_told_digests_and_counts_only(finished) -> None:
    for body in finished.house.told("run.checkpoint"):
        assert set(body) == {"run", "step", "receipt", "checkpoint"}


def test_a_declared_rate_costs_each_hour_since_the_first_start(house, tiny) -> None:
    envelope = house.envelope(tiny, 12.0)
    result = house.start(envelope, tiny, 12.0, rate=Rate(per_hour=3600.0, currency="INR"))
    lines = Journal(house.workspace.runs / "run-1" / "receipts.jsonl").read()
    costs = [line["cost_so_far"] for line in lines]
    assert costs == sorted(costs)
    assert 0 < costs[0] < costs[-1] < result.cost <= 12.0
    assert result.cost == pytest.approx(result.seconds, abs=0.5)
    assert {line["currency"] for line in lines} == {"INR"}
