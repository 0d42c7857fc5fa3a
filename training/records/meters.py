"""Meters: what a stretch of training took in joules and money, and how that is known.

Accelerators are read through NVML, processors through RAPL where the kernel lets us; where it does
not, the processor's part is an estimate and says so.

Does not see: fans, disks, network, power supplies and the building; memory where RAPL has no zone
for it. RAPL counts whole packages, so it counts what neighbours on the machine do as well, and the
estimate counts this process alone.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol, Self, cast

from governance.errors import UsageError

POLL_S = 10.0  # RAPL may wrap after 65 kJ (32 bits of 15.3 microjoules): 65 s at 1 kW
NVML_ERROR_SHARE = 0.05  # of power: NVML API reference, nvmlDeviceGetPowerUsage, "+/- 5%"
RAPL_ERROR_SHARE = 0.05  # assumed; Intel publishes none
ESTIMATE_SPREAD = 2.0  # assumed: cores of servers that are sold take half to twice what is declared
RAPL_ZONES = "sys/class/powercap"
_RATE = re.compile(r"(\d+(?:\.\d+)?) ([A-Z]{3})")


class Nvml(Protocol):
    """The part of `pynvml` that is used."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None:  # noqa: N802  its name
        """Begin."""

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:  # noqa: N802  its name
        """Return an accelerator."""

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:  # noqa: N802  its name
        """Return millijoules since the driver was loaded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Joules, between `low` and `high`; the method of each part, and where it was read."""

    joules: float
    joules_low: float
    joules_high: float
    joules_method: str
    joules_source: str

    @classmethod
    def added(cls, parts: Sequence[Self]) -> Self:
        """Return what several processes counted, together; nothing of none."""
        return cls(
            joules=sum(part.joules for part in parts),
            joules_low=sum(part.joules_low for part in parts),
            joules_high=sum(part.joules_high for part in parts),
            joules_method=" + ".join(dict.fromkeys(filter(None, (p.joules_method for p in parts)))),
            joules_source="; ".join(dict.fromkeys(filter(None, (p.joules_source for p in parts)))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A figure in joules that only goes up, until it begins again at `wraps_at`.

    The truth lies between `low` and `high` times what is counted.
    """

    method: str
    source: str
    read: Callable[[], float]
    low: float
    high: float
    wraps_at: float = math.inf

    def since(self, before: float, now: float) -> float:
        """Return the joules from one reading to the next."""
        return now - before if now >= before else now + self.wraps_at - before


@dataclass(slots=True, eq=False)
class Meter:
    """Counters that are read together. `poll` often, `window` when a stretch ends."""

    counters: tuple[Counter, ...]
    tick: Callable[[], float] = time.monotonic
    polled_at: float = field(init=False)
    readings: list[float] = field(init=False)
    counted: list[float] = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count."""
        self.polled_at = self.tick()
        self.readings = [counter.read() for counter in self.counters]
        self.counted = [0.0] * len(self.counters)

    @classmethod
    def open(
        cls,
        *,
        watts_per_core: float,
        accelerators: Sequence[str] = (),
        nvml: Nvml | None = None,
        root: Path = Path("/"),
        packages: bool = True,
    ) -> Self:
        """Return a meter of this machine.

        Args:
            watts_per_core: what a busy core is assumed to take, where nothing can be read.
            accelerators: UUIDs of those that are trained on.
            nvml: the library; `pynvml` where it is installed and None is given.
            root: where /sys lies.
            packages: whether this process counts whole processors, where they can be read; of
                several on a machine only one does.
        """
        readable = tuple(_rapl(root))
        estimated = () if readable else (_estimate(watts_per_core),)
        processors = estimated or (readable if packages else ())
        library = nvml or (_pynvml() if accelerators else None)
        return cls((*_accelerators(library, accelerators), *processors))

    def poll(self) -> None:
        """Read the counters, if the last reading is old enough that one might soon wrap."""
        if self.tick() - self.polled_at >= POLL_S:
            self._count()

    def window(self) -> Energy:
        """Return the energy since the last window, or since the meter was opened."""
        self._count()
        counted, self.counted = self.counted, [0.0] * len(self.counters)
        parts = list(zip(self.counters, counted, strict=True))
        return Energy(
            joules=sum(counted),
            joules_low=sum(counter.low * joules for counter, joules in parts),
            joules_high=sum(counter.high * joules for counter, joules in parts),
            joules_method=" + ".join(dict.fromkeys(counter.method for counter in self.counters)),
            joules_source="; ".join(counter.source for counter in self.counters),
        )

    def _count(self) -> None:
        now = [counter.read() for counter in self.counters]
        for place, counter in enumerate(self.counters):
            self.counted[place] += counter.since(self.readings[place], now[place])
        self.readings, self.polled_at = now, self.tick()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What the machine costs an hour, as its operator declares it."""

    per_hour: float
    currency: str

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read '300 INR'; None where nothing is declared. Raises UsageError."""
        if not text:
            return None
        found = _RATE.fullmatch(text)
        if not found:
            raise UsageError(
                f"hourly_rate is {text!r}; write an amount and a currency, for example '300 INR', "
                "or '' where it is not known."
            )
        return cls(per_hour=float(found[1]), currency=found[2])

    def cost(self, seconds: float) -> float:
        """Return what so many seconds cost."""
        return self.per_hour * seconds / 3600.0


def _accelerators(nvml: Nvml | None, uuids: Sequence[str]) -> Iterator[Counter]:
    """Yield a counter for each accelerator.

    Raises:
        UsageError: an accelerator is trained on and its energy cannot be read: a sum without it
            would pass for the whole.
    """
    if not uuids:
        return
    if nvml is None:
        raise UsageError(
            "Training runs on accelerators, and their energy cannot be read: install "
            "`pramana[energy]`, which reads NVML."
        )
    try:
        nvml.nvmlInit()
        for uuid in uuids:
            yield _accelerator(nvml, uuid)
    except nvml.NVMLError as fault:
        raise UsageError(f"NVML does not tell the energy of an accelerator: {fault}.") from None


def _accelerator(nvml: Nvml, uuid: str) -> Counter:
    handle = nvml.nvmlDeviceGetHandleByUUID(uuid)

    def read() -> float:
        return nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3

    read()  # those before Volta do not count: told now, not at the first checkpoint
    return Counter(
        method="nvml",
        source=f"total energy of {uuid}",
        read=read,
        low=1 - NVML_ERROR_SHARE,
        high=1 + NVML_ERROR_SHARE,
    )


def _pynvml() -> Nvml | None:
    try:
        return cast("Nvml", import_module("pynvml"))
    except ModuleNotFoundError:
        return None


def _rapl(root: Path) -> Iterable[Counter]:
    """Return the packages and their memory; none unless all can be read.

    Linux lets only root read them since CVE-2020-8694. Zones of cores lie within their package.
    """
    try:
        zones = [zone for zone in sorted((root / RAPL_ZONES).glob("intel-rapl:*")) if _outer(zone)]
        return [_zone(zone, root) for zone in zones]
    except (OSError, ValueError):
        return []


def _outer(zone: Path) -> bool:
    name = (zone / "name").read_text().strip()
    return name.startswith("package") or name == "dram"


def _zone(zone: Path, root: Path) -> Counter:
    path = zone / "energy_uj"

    def read() -> float:
        return int(path.read_text()) / 1e6

    read()
    return Counter(
        method="rapl",
        source=f"/{path.relative_to(root)}",
        read=read,
        low=1 - RAPL_ERROR_SHARE,
        high=1 + RAPL_ERROR_SHARE,
        wraps_at=int((zone / "max_energy_range_uj").read_text()) / 1e6,
    )


def _estimate(watts_per_core: float) -> Counter:
    return Counter(
        method="estimate",
        source=f"processor seconds times {watts_per_core:g} W, assumed",
        read=lambda: time.process_time() * watts_per_core,
        low=1 / ESTIMATE_SPREAD,
        high=ESTIMATE_SPREAD,
    )
