"""Write the plan beside each preset; or keep what a run measured, for the plan of its preset.

python benchmarks/plans.py                             # all plans anew (`make plans`)
python benchmarks/plans.py --probe .pramana/runs/RUN   # keep its speed beside its preset
"""

import argparse
from dataclasses import replace
from pathlib import Path

from app.preset_plans import PLACES, page, path_of
from training.config import PRESETS
from training.planning.probe import Probe


def main() -> None:
    """Keep a probe, if one is given; write every plan."""
    parser = argparse.ArgumentParser(description="Write the plan beside each preset.")
    parser.add_argument("--probe", type=Path, help="the folder of a run of a preset")
    parser.add_argument("--called", default="", help="how the run is called in the plan")
    asked = parser.parse_args()
    if asked.probe:
        probe = Probe.read(asked.probe)
        kept = replace(probe, run=asked.called or probe.run)
        print(f"kept {kept.keep(PRESETS)}")
    for preset in PLACES:
        path_of(preset).write_text(page(preset), encoding="utf-8")
        print(f"wrote {path_of(preset).name}")


if __name__ == "__main__":
    main()
