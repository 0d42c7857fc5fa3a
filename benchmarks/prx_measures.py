"""What `prx.py` measures of a side: speed slice by slice, memory, graph breaks, held-out error.

Does not see: what else the machine does meanwhile; so slices alternate, and processor time is kept
beside wall time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Protocol

import torch
from prx_batch import TIMES, Batch, Feed
from torch import Tensor, nn

from governance.errors import UsageError
from training.evaluate.estimate import Estimate

RESAMPLES = 2000
WARM_STEPS = 3  # compilation, first touches of memory


class Side(Protocol):
    """Who is measured."""

    name: str
    device: torch.device
    threads: int
    count: int
    parameters: list[nn.Parameter]

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        ...

    def step(self, batch: Batch) -> float:
        """Train on a batch."""
        ...

    def see(self, noisy: Tensor, times: Tensor, batch: Batch) -> Tensor:
        """Return clean pictures seen in noisy ones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One stretch of training: pictures a second, and what a step takes of a CUDA device.

    `peak_bytes` is beyond the weights and moments of both sides, which lie there all the time.
    """

    by_wall: float
    by_processor: float
    peak_bytes: int


def timed(side: Side, feed: Feed, seconds: float) -> Slice:
    """Train a side for some seconds, from where it stopped."""
    torch.set_num_threads(side.threads)
    on_gpu = side.device.type == "cuda"
    resting = 0
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        resting = torch.cuda.memory_allocated()
    steps, wall, busy = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        side.step(feed.batch(side.count))
        steps += 1
    if on_gpu:
        torch.cuda.synchronize()
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    peak = torch.cuda.max_memory_allocated() - resting if on_gpu else 0
    for parameter in side.parameters:
        parameter.grad = None  # so that the other side's peak is its own
    rows = steps * feed.rows
    return Slice(by_wall=rows / wall, by_processor=rows / busy, peak_bytes=peak)


def warm(side: Side, feed: Feed) -> None:
    """Take the first steps, which are slower."""
    torch.set_num_threads(side.threads)
    for _ in range(WARM_STEPS):
        side.step(feed.batch(side.count))


def choose_threads(side: Side, feed: Feed, seconds: float, most: int) -> dict[int, float]:
    """Leave a side with as many threads as are fastest; return pictures a second by threads."""
    speed = {}
    for threads in range(1, most + 1):
        side.threads = threads
        speed[threads] = timed(side, feed, seconds).by_wall
    side.threads = max(speed, key=lambda threads: speed[threads])
    return speed


def ratio(over: Sequence[float], under: Sequence[float]) -> Estimate:
    """Return the mean ratio of pairs, on a log scale, with its bootstrap interval.

    Source: Efron 1979, Annals of Statistics 7(1).
    """
    logs = [log(a / b) for a, b in zip(over, under, strict=True)]
    mean = Estimate.mean_of(logs, seed=0, resamples=RESAMPLES)
    ends = (None if end is None else exp(end) for end in (mean.low, mean.high))
    low, high = ends
    return Estimate(value=exp(mean.value), low=low, high=high, count=mean.count)


def told(estimate: Estimate) -> str:
    """Return a ratio as text."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f} (a single pair: no interval)"
    return (
        f"{estimate.value:.2f}, 95 % {estimate.low:.2f} to {estimate.high:.2f} "
        f"(n = {estimate.count})"
    )


def kept_bytes(side: Side, batch: Batch) -> int:
    """Return how many bytes a loss keeps for its backward pass, weights not counted."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in side.parameters}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in weights:
            kept[place] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        side.loss(batch)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def graph_breaks(call: Callable[[], object]) -> str:
    """Return how many graphs a call compiles to, and how many breaks lie between."""
    found = torch._dynamo.explain(call)()  # noqa: SLF001  the only name it has
    return f"{found.graph_count} graphs, {found.graph_break_count} breaks"


def error(side: Side, feed: Feed, seed: int) -> float:
    """Return the mean squared error of held-out pictures over five times, with fixed noise."""
    batch = feed.heldout()
    thrown = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch.clean.shape, generator=thrown).to(side.device)
    errors = []
    for moment in TIMES:
        times = torch.full((len(noise),), moment, device=side.device)
        seen = side.see(torch.lerp(batch.clean, noise, moment), times, batch)
        errors.append((seen - batch.clean).square().mean())
    return float(torch.stack(errors).mean())


def peak_flops(device: torch.device) -> float | None:
    """Return the peak of a device by its row in hardware.csv, or None where there is none.

    Raises:
        UsageError: the table cannot be read.
    """
    if device.type != "cuda":
        return None
    from policies.claims import facts  # noqa: PLC0415  DuckDB, which a CPU run has no need of

    called = torch.cuda.get_device_name(device).replace(" ", "")
    rows = [row for row in facts() if row.what == "peak_flops" and row.value is not None]
    named = [row for row in rows if row.of in called]
    if len(named) > 1:
        raise UsageError(f"Several rows of hardware.csv could be {called}; name them apart.")
    return named[0].value if named else None
