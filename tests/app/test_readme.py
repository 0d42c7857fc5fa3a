"""The README is run and compared, so that it cannot rot."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app import planted
from app.cli import cli

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_help_in_the_readme_is_the_help_of_the_program() -> None:
    shown = CliRunner().invoke(cli, ["--help"], prog_name="pramana", terminal_width=88)
    assert shown.exit_code == 0
    assert shown.output.strip() in README


@pytest.mark.slow
@pytest.mark.xdist_group("main-path")
def test_the_commands_of_the_readme_run_as_they_stand(tmp_path: Path) -> None:
    (commands,) = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    planted.write(tmp_path / "scenes", list(planted.scenes(120, seed=9)))
    (tmp_path / "pramana.toml").write_text('operator = "a reader"\ncompute_region = "IN"\n')
    scripts = Path(sys.executable).parent
    for command in commands.strip().splitlines():
        ended = subprocess.run(
            ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        assert ended.returncode == 0, (command, ended.stderr)


def test_every_path_the_readme_shows_exists() -> None:
    root = Path(__file__).parents[2]
    for shown in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / shown).exists(), shown
