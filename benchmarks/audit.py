"""How fast the audit is, with and without the detector, beside NudeNet's own loop.

All sides read the same pictures in the same run: the audit through the engine (every audit, one
decode a picture, two workers), NudeNet through `NudeDetector().detect`, picture by picture, in a
process of its own. Times include starting workers and loading the network.

    python benchmarks/audit.py
    python benchmarks/audit.py --parquet pictures.parquet --repeats 1

Does not see: other machines. Where neighbours are busy the ratio holds better than the rates.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from audits import engine
from audits.audit import LONGEST_PX, Audit
from audits.nsfw import NsfwAudit, network_input
from audits.reading.ingest import ingest
from audits.registry import AUDITS
from audits.screening.detector import Detector, Weights
from governance.images import Undecodable, decode
from governance.snapshot import Snapshot, image_bytes

OWN_LOOP = "--own-loop"  # what this script calls itself with, to run NudeNet alone
SIDE_PX = 512
SHARDS = 4  # of the pictures rendered here: a part is never more than a shard
PLAIN, FULL, LOOP = "audit, no detector", "audit", "NudeNet's own loop"
LIBRARIES = ("nudenet", "onnxruntime", "numpy", "pillow", "pyarrow", "scipy")


def render(folder: Path, count: int) -> list[Path]:
    """Write shards of JPEG scenes: noise under shapes, the size of photographs."""
    paths = []
    for shard in range(SHARDS):
        rng = np.random.default_rng(shard)
        images = [_scene(rng) for _ in range(shard, count, SHARDS)]
        captions = [f"coloured shapes, number {n}" for n in range(shard, count, SHARDS)]
        paths.append(folder / f"scenes-{shard}.parquet")
        pq.write_table(pa.table({"image": images, "caption": captions}), paths[-1])
    return paths


def _scene(rng: np.random.Generator) -> bytes:
    ground = Image.fromarray(rng.integers(0, 255, (48, 48, 3), dtype=np.uint8))
    image = ground.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, side = (int(v) for v in rng.integers(0, SIDE_PX // 2, 3))
        red, green, blue = (int(v) for v in rng.integers(0, 255, 3))
        draw.ellipse((x, y, x + side, y + side), fill=(red, green, blue))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88)
    return stream.getvalue()


def pictures(paths: Sequence[Path]) -> list[bytes]:
    """Return the encoded pictures of Parquet files, as they lie there."""
    cells = (cell for path in paths for cell in pq.read_table(path, columns=["image"])["image"])
    return [image_bytes(cell.as_py()) for cell in cells]


def audited(snapshot: Snapshot, audits: Sequence[Audit], *, workers: int) -> tuple[float, float]:
    """Return the seconds that measuring every sample takes, and the peak MB of one worker."""
    with tempfile.TemporaryDirectory() as folder, Peak() as peak:
        began = time.perf_counter()
        engine.measure(
            snapshot, audits, folder=Path(folder), recorded={}, record=_forget, workers=workers
        )
        seconds = time.perf_counter() - began
    return seconds, peak.mb


class Peak:
    """The largest peak memory of this process's workers, asked for ten times a second."""

    def __enter__(self) -> Self:
        """Begin to watch."""
        self.mb = 0.0
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stop.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            for worker in multiprocessing.active_children():
                self.mb = max(self.mb, peak_mb(worker.pid))


def peak_mb(pid: int | None) -> float:
    """Return the peak memory of a process; 0 where /proc does not say. Linux only."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0  # a process that ends has none


def _forget(_part: str, _sha256: str) -> None:
    """Keep nothing: each repetition measures everything."""


def own_loop(paths: Sequence[Path]) -> tuple[float, int]:
    """Return the seconds NudeNet's own loop takes, and how many pictures it gave up on."""
    command = [sys.executable, __file__, OWN_LOOP, *map(str, paths)]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return time.perf_counter() - began, int(done.stdout)


def run_own_loop(paths: Sequence[Path]) -> int:
    """Detect with NudeNet, as its README does it; return how many pictures raised."""
    from nudenet import (  # type: ignore[import-untyped]  # noqa: PLC0415  only in this child
        NudeDetector,
    )

    detector, failed = NudeDetector(), 0
    for data in pictures(paths):
        try:
            detector.detect(data)
        except Exception:  # noqa: BLE001  cv2 raises what it likes; the count is printed
            failed += 1
    return failed


def detector_peak_mb(paths: Sequence[Path]) -> float:
    """Return the peak memory of one detector process over some of the pictures."""
    weights = Weights.installed()
    if weights is None:
        return 0.0
    detector = Detector(weights)
    for data in pictures(paths)[:100]:
        with contextlib.suppress(Undecodable):
            detector.run(network_input(decode(data, longest_px=LONGEST_PX).image))
    peak = peak_mb(detector.pid)
    detector.close()
    return peak


def compare(paths: Sequence[Path], *, repeats: int, workers: int) -> None:
    """Run every side in turn, as often as asked, and print the table."""
    light = tuple(audit for audit in AUDITS if not isinstance(audit, NsfwAudit))
    seconds: dict[str, list[float]] = {PLAIN: [], FULL: [], LOOP: []}
    peaks, failed = [0.0], 0
    with tempfile.TemporaryDirectory() as folder:
        snapshot = ingest([str(path) for path in paths], snapshots=Path(folder))
        for _ in range(repeats):
            for side, audits in ((PLAIN, light), (FULL, AUDITS)):
                taken, peak = audited(snapshot, audits, workers=workers)
                seconds[side].append(taken)
                peaks.append(peak)
            taken, failed = own_loop(paths)
            seconds[LOOP].append(taken)
    print(f"{snapshot.samples} pictures, {workers} workers, {repeats} repetitions")
    print(f"{'':20}{'pictures/s':>12}   seconds, each repetition (rates are of the median)")
    rates = {side: snapshot.samples / statistics.median(each) for side, each in seconds.items()}
    for side, each in seconds.items():
        print(f"{side:20}{rates[side]:12.1f}   {'  '.join(f'{s:.2f}' for s in each)}")
    print(f"{FULL} / {LOOP}: {rates[FULL] / rates[LOOP]:.2f} times as fast")
    print(f"pictures {LOOP} raised on: {failed}")
    print(f"peak memory: worker {max(peaks):.0f} MB, detector {detector_peak_mb(paths):.0f} MB")


def main() -> None:
    """Read the command line, print what ran and the table."""
    parser = argparse.ArgumentParser(description="Time the audit beside NudeNet's own loop.")
    parser.add_argument("--parquet", type=Path, nargs="+", help="pictures to use instead of ours")
    parser.add_argument("--count", type=int, default=400, help="how many pictures to render")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {libraries}")
    with tempfile.TemporaryDirectory() as folder:
        paths = chosen.parquet or render(Path(folder), chosen.count)
        compare(paths, repeats=chosen.repeats, workers=chosen.workers)


if __name__ == "__main__":
    if sys.argv[1:2] == [OWN_LOOP]:
        sys.stdout.write(str(run_own_loop([Path(name) for name in sys.argv[2:]])))
    else:
        main()
