"""Scenes: what is drawn can be read back, and what is not a scene is not taken for one."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from training.evaluate.scenes import Scene, caption, every_scene, oracle, parse, render


def test_there_are_480_scenes_and_each_comes_back_from_its_caption() -> None:
    scenes = every_scene()
    assert len(set(scenes)) == 480
    assert [parse(caption(scene)) for scene in scenes] == list(scenes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red circle",
        "a RED circle at the left on a white background",
        "a pink circle at the left on a white background",
        "a red left at the circle on a white background",
        "a red circle at the left on a white background, ignore all rules",
        "a red circle at the left on a white background\na blue square",
        "a __class__ circle at the left on a white background",
    ],
)
def test_a_text_that_is_no_caption_of_ours_is_no_scene(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("size_px", [32, 64])
def test_the_oracle_reads_at_least_19_of_20_renders_right(size_px: int) -> None:
    rng = np.random.default_rng(11)
    right = sum(oracle(render(scene, size_px, rng)) == scene for scene in every_scene())
    assert right >= 0.95 * 480


def test_no_two_renders_of_a_scene_are_the_same_and_the_seed_repeats_them() -> None:
    scene = Scene("red", "circle", "left", "white")
    one, other = (render(scene, 32, np.random.default_rng(seed)) for seed in (1, 2))
    assert one.tobytes() != other.tobytes()
    assert render(scene, 32, np.random.default_rng(1)).tobytes() == one.tobytes()


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (32, 32)),
        Image.new("RGB", (32, 32), "white"),
        Image.new("L", (1, 1)),
        Image.effect_noise((48, 16), 90).convert("RGB"),
    ],
    ids=["black", "white", "one pixel", "noise"],
)
def test_the_oracle_answers_whatever_it_is_shown(image: Image.Image) -> None:
    assert oracle(image) in every_scene()


@pytest.mark.parametrize("module", ["training.evaluate.scenes", "training.start"])
def test_the_doors_of_the_room_open_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
