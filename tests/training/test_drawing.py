"""Drawing, export and held-out scores: what is trained can be drawn with by stock diffusers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from governance.canon import file_sha256
from training.config import RunConfig
from training.data.samples import ClearedSamples
from training.evaluate.estimate import Score
from training.evaluate.heldout import (
    TIMES,
    error_by_time,
    scene_scores,
    unseen_scenes,
)
from training.evaluate.scenes import Scene, caption, every_scene
from training.export import export
from training.model import Model, build
from training.output.policy import POLICY_FILE, policy_sha256
from training.output.provenance import Origin
from training.sample import draw, save_grid
from training.text.tokens import load_tokenizer, make_tokenizer

PROMPTS = [caption(scene) for scene in every_scene()[:9]]
RED = Scene("red", "circle", "left", "white")
BLUE = Scene("blue", "circle", "left", "white")


@pytest.fixture
def model(tiny: RunConfig) -> Model:
    return build(tiny, load_tokenizer(make_tokenizer(PROMPTS, tiny.text.vocabulary)))


def test_several_prompts_with_guidance_are_drawn_at_once(model: Model, tiny: RunConfig) -> None:
    images = draw(model, PROMPTS, tiny, seed=1)
    assert len(images) == 9
    assert {image.size for image in images} == {(16, 16)}
    again = draw(model, PROMPTS, tiny, seed=1)
    assert [i.tobytes() for i in images] == [i.tobytes() for i in again]
    other = draw(model, PROMPTS, tiny, seed=2)
    assert images[0].tobytes() != other[0].tobytes()


def test_without_guidance_the_prompt_alone_is_drawn(model: Model, tiny: RunConfig) -> None:
    """At guidance 1 the untold half cancels out, so one prompt draws what it draws among others."""
    alone = replace(tiny, evaluation=replace(tiny.evaluation, guidance=1.0))
    [one] = draw(model, PROMPTS[:1], alone, seed=1)
    stack = np.asarray(one).astype(int)
    [stronger] = draw(model, PROMPTS[:1], tiny, seed=1)
    assert stack.shape == (16, 16, 3)
    assert abs(stack - np.asarray(stronger)).max() > 0


def test_the_grid_holds_every_picture_eight_in_a_row(tmp_path: Path) -> None:
    images = [Image.new("RGB", (4, 4), (10 * n, 0, 0)) for n in range(9)]
    origin = Origin(run="r", weights="", card="", policy="")
    save_grid(tmp_path / "grid.png", images, origin=origin, zoom=2)
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (64, 16)
        assert grid.getpixel((63, 0)) == (70, 0, 0)
        assert grid.getpixel((7, 15)) == (80, 0, 0)
        assert grid.getpixel((8, 8)) == (0, 0, 0)


def test_stock_diffusers_loads_the_export_offline_and_draws_the_same(
    tmp_path: Path, model: Model, tiny: RunConfig
) -> None:
    from diffusers import DiffusionPipeline, PRXPixelPipeline  # noqa: PLC0415  heavy

    digests = export(model, tiny, tmp_path / "pipeline")
    loaded = DiffusionPipeline.from_pretrained(tmp_path / "pipeline", local_files_only=True)
    assert isinstance(loaded, PRXPixelPipeline)
    loaded.set_progress_bar_config(disable=True)
    noise = torch.randn((1, 3, 16, 16), generator=torch.Generator().manual_seed(4))
    arguments = {"num_inference_steps": 4, "guidance_scale": 3.0, "latents": noise}
    shown = loaded(PROMPTS[0], use_resolution_binning=False, **arguments).images[0]
    assert shown.size == (16, 16)
    assert np.asarray(shown).std() > 0
    for (name, ours), (_, theirs) in zip(
        model.transformer.named_parameters(), loaded.transformer.named_parameters(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    assert loaded.tokenizer(PROMPTS[0])["input_ids"] == model.tokenizer(PROMPTS[0])["input_ids"]
    files = [path for path in (tmp_path / "pipeline").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "pipeline")) for path in files} == digests.keys()
    assert {path.suffix for path in files} == {".json", ".safetensors", ".md"}
    assert digests[POLICY_FILE] == policy_sha256(tmp_path / "pipeline")
    transformer = "transformer/diffusion_pytorch_model.safetensors"
    assert digests[transformer] == file_sha256(tmp_path / "pipeline" / transformer)


def test_an_export_replaces_what_stood_there(tmp_path: Path, model: Model, tiny) -> None:
    for folder in (tmp_path / "pipeline", tmp_path / ".pipeline.part"):
        folder.mkdir()
        (folder / "old.bin").write_bytes(b"old")
    export(model, tiny, tmp_path / "pipeline")
    assert not list(tmp_path.rglob("old.bin"))
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline"]


def test_a_score_carries_the_wilson_interval() -> None:
    """Source: Brown, Cai and DasGupta 2001, the interval evaluated for 8 of 10."""
    score = Score.of(8, 10)
    assert (score.share, score.right, score.asked) == (0.8, 8, 10)
    assert (score.low, score.high) == (
        pytest.approx(0.4902, abs=1e-4),
        pytest.approx(0.9433, abs=1e-4),
    )
    for asked in (5, 64, 1000):
        assert Score.of(0, asked).low == 0.0
        assert Score.of(asked, asked).high == 1.0
    with pytest.raises(ValueError, match="at least one"):
        Score.of(0, 0)


def test_a_scene_is_right_only_when_all_four_attributes_are() -> None:
    scores = scene_scores(
        [RED, RED, BLUE, BLUE], [RED, BLUE, BLUE, Scene("red", "cross", "top", "grey")]
    )
    shares = {name: score.share for name, score in scores.items()}
    assert shares == {
        "colour": 0.5,
        "shape": 0.75,
        "position": 0.75,
        "background": 0.75,
        "all_attributes": 0.5,
    }
    assert scene_scores([], []) == {}


def test_only_scenes_that_no_caption_speaks_of_are_asked_for() -> None:
    told = [caption(scene) for scene in every_scene()[10:]]
    asked = unseen_scenes(told, count=64, seed=1)
    assert sorted(asked) == sorted(every_scene()[:10])
    assert asked == unseen_scenes(told, count=64, seed=1)
    assert len(unseen_scenes(told, count=3, seed=1)) == 3


@pytest.mark.parametrize(
    "captions",
    [[], ["an aubergine"], ["an aubergine", *PROMPTS[:1]]],
    ids=["none", "other", "half"],
)
def test_where_captions_are_no_scenes_none_is_asked_for(captions: list[str]) -> None:
    assert unseen_scenes(captions, count=64, seed=1) == ()


def test_the_heldout_error_is_the_same_each_time_and_grows_with_the_noise(
    model: Model, tiny: RunConfig
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 3, 16, 16), dtype=np.uint8)
    samples = ClearedSamples(pixels, tuple(bytes([n] * 32) for n in range(5)), tuple(PROMPTS[:5]))
    errors = error_by_time(model, samples, tiny)
    assert list(errors) == [f"{time:.1f}" for time in TIMES]
    assert errors == error_by_time(model, samples, tiny)
    assert all(0 < e.low < e.value < e.high and e.count == 5 for e in errors.values())


def test_without_heldout_samples_there_is_no_error_rather_than_a_zero(model, tiny) -> None:
    none = ClearedSamples(np.empty((0, 3, 16, 16), np.uint8), (), ())
    assert error_by_time(model, none, tiny) == {}
