"""From the command to a model that draws: `pramana train --preset micro`, cold, by its budget.

Each run is a process of its own on scenes made here and audited before; its budget covers imports,
reading, training, export, drawing and judging. Right means that all four attributes of a scene no
caption names are drawn as asked, by an oracle that reads pixels by rule.

Does not see: real photographs; a coloured shape is no measure of what a larger model draws.

    python benchmarks/cold_start.py --seconds 90 60 45 --sets 3
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app import planted
from app.redteam.ground import elsewhere

DECLARED = """\
operator = "a benchmark"
contact = "nobody@example.invalid"
country = "IN"
storage_region = "IN"
compute_region = "IN"
"""
PICTURES = 4096


def _pramana(workspace: Path, *arguments: object) -> None:
    command = [sys.executable, "-P", "-m", "app", "--workspace", workspace, *arguments]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)  # noqa: S603  ours


def _workspace(folder: Path, *, seed: int, pictures: int) -> Path:
    """Return a workspace whose scenes are audited."""
    folder.mkdir(parents=True)
    (folder / "pramana.toml").write_text(DECLARED)
    planted.write(folder / "scenes", list(planted.scenes(pictures, seed=seed)))
    _pramana(folder, "audit", folder / "scenes", "--policy", "commercial")
    return folder


def _trained(workspace: Path, seconds: float) -> tuple[float, dict[str, dict[str, Any]]]:
    """Return the seconds of a command, and what its run left."""
    before = set((workspace / ".pramana" / "runs").glob("*"))
    began = time.monotonic()
    _pramana(workspace, "train", "--preset", "micro", "--minutes", seconds / 60)
    took = time.monotonic() - began
    [folder] = set((workspace / ".pramana" / "runs").glob("*")) - before
    read = {n: json.loads((folder / f"{n}.json").read_bytes()) for n in ("result", "evaluation")}
    return took, read


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[90.0, 60.0, 45.0])
    parser.add_argument("--sets", type=int, default=3, help="datasets, each of another seed")
    parser.add_argument("--pictures", type=int, default=PICTURES)
    asked = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; "
        f"torch {version('torch')}; {asked.pictures:,} scenes"
    )
    print(f"{'budget s':>9}{'took s':>8}{'left s':>8}{'steps':>7}{'right':>7}   95 %")
    with tempfile.TemporaryDirectory() as folder, elsewhere(Path(folder)):
        for seed in range(asked.sets):
            place = _workspace(Path(folder) / str(seed), seed=seed, pictures=asked.pictures)
            for seconds in asked.seconds:
                took, read = _trained(place, seconds)
                result, right = read["result"], read["evaluation"]["all_attributes"]
                print(
                    f"{seconds:>9.0f}{took:>8.1f}{result['margin_s']:>8.1f}{result['steps']:>7}"
                    f"{right['share']:>7.2f}   {right['low']:.2f} to {right['high']:.2f}"
                )


if __name__ == "__main__":
    main()
