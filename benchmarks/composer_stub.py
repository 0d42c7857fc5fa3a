"""Stands in for the Composer that Photoroom/PRX imports: names, events and time, nothing more.

Written from how PRX uses these names. Algorithms match and apply on the events of a training step
in Composer's order.

Does not see: communication, sharding, loggers, callbacks, metrics and checkpoints. All of them
cost the real thing time, so a step driven by this stub favours PRX.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum, auto
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Self

from torch import nn


class Event(StrEnum):
    """When an algorithm may act."""

    INIT = auto()
    FIT_START = auto()
    FIT_END = auto()
    EPOCH_END = auto()
    EPOCH_CHECKPOINT = auto()
    BATCH_START = auto()
    BATCH_END = auto()
    BATCH_CHECKPOINT = auto()
    EVAL_START = auto()
    EVAL_END = auto()


class TimeUnit(StrEnum):
    """What time is counted in; the value is its suffix."""

    EPOCH = "ep"
    BATCH = "ba"
    SAMPLE = "sp"
    DURATION = "dur"


@dataclass(frozen=True, slots=True, order=True)
class Time:
    """So many units: "10ba" is ten batches."""

    value: float
    unit: TimeUnit

    @classmethod
    def from_timestring(cls, text: str) -> Self:
        """Read a time. Raises ValueError where no unit is known."""
        for unit in TimeUnit:
            if text.endswith(unit.value):
                number = text.removesuffix(unit.value)
                whole = unit is not TimeUnit.DURATION
                return cls(int(number) if whole else float(number), unit)
        raise ValueError(f"{text!r} is no time; write a number and one of {', '.join(TimeUnit)}.")

    def __int__(self) -> int:
        return int(self.value)


@dataclass(slots=True)
class Timestamp:
    """How many batches there were; epochs are not counted."""

    batches: int = 0

    @property
    def batch(self) -> Time:
        """Return the batches as a time."""
        return Time(self.batches, TimeUnit.BATCH)

    def get(self, unit: TimeUnit) -> Time:
        """Return the time in a unit."""
        return self.batch if unit is TimeUnit.BATCH else Time(0, unit)


@dataclass(slots=True, eq=False)
class State:
    """What algorithms see."""

    model: nn.Module
    timestamp: Timestamp = field(default_factory=Timestamp)

    def get_elapsed_duration(self) -> Time:
        """Return the share of training that is over: the stub knows no end."""
        return Time(0.0, TimeUnit.DURATION)


class Logger:
    """Forgets what it is told."""

    def log_metrics(self, metrics: Mapping[str, object]) -> None:
        """Take metrics."""

    def log_hyperparameters(self, parameters: Mapping[str, object]) -> None:
        """Take settings."""


class Algorithm(ABC):
    """Acts on events it matches; PRX's own say which, and how."""

    @abstractmethod
    def match(self, event: Event, state: State) -> bool:
        """Return whether to act."""

    @abstractmethod
    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Act."""

    def state_dict(self) -> dict[str, object]:
        """Return nothing: the stub saves nothing."""
        return {}


class ComposerModel(nn.Module):
    """A module with a logger."""

    def __init__(self) -> None:
        super().__init__()
        self.logger = Logger()


class Unused:
    """What is imported and never called on one device."""


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """Tells algorithms of events, as Composer's engine does."""

    state: State
    algorithms: Sequence[Algorithm]
    logger: Logger = field(default_factory=Logger)

    def run(self, event: Event) -> None:
        """Let every algorithm that matches act, in their order."""
        for algorithm in self.algorithms:
            if algorithm.match(event, self.state):
                algorithm.apply(event, self.state, self.logger)


def modules() -> dict[str, ModuleType]:
    """Return the modules under the names PRX imports."""
    core = {
        "Algorithm": Algorithm,
        "Event": Event,
        "State": State,
        "Time": Time,
        "TimeUnit": TimeUnit,
        "Timestamp": Timestamp,
    }
    misc = module_of("composer.utils.misc", is_model_fsdp=lambda _: False)
    dist = module_of("composer.utils.dist", get_global_rank=lambda: 0, get_world_size=lambda: 1)
    reproducibility = module_of("composer.utils.reproducibility")
    found = (
        module_of("composer", **core, Callback=Unused, ComposerModel=ComposerModel, Logger=Logger),
        module_of("composer.core", **core),
        module_of("composer.devices", DeviceGPU=Unused),
        module_of("composer.loggers", Logger=Logger, LoggerDestination=Unused),
        module_of("composer.models", ComposerModel=ComposerModel),
        module_of("composer.utils", misc=misc, dist=dist, reproducibility=reproducibility),
        misc,
        dist,
        reproducibility,
    )
    return {module.__name__: module for module in found}


def module_of(name: str, **members: object) -> ModuleType:
    """Return a module that holds these members."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)  # whoever asks whether a package is there reads it
    module.__path__ = []
    for member, value in members.items():
        setattr(module, member, value)
    return module


@contextmanager
def standing_in(given: Mapping[str, ModuleType], *, path: str, package: str) -> Iterator[None]:
    """Let modules be imported by these names, and a package from a path, until the block ends."""
    before = dict(sys.modules)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    sys.modules.update(given)
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)
        ours = {package, *(name.partition(".")[0] for name in given)}
        for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
            del sys.modules[name]
            if name in before:
                sys.modules[name] = before[name]
