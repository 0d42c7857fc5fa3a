"""`pramana` with the presets of a folder: `small_preset.py FOLDER ARGUMENT...`; for torchrun."""

import sys
from pathlib import Path

from app.cli import main
from training import config

config.PRESETS = Path(sys.argv.pop(1))
main()
