"""Extractors: local folders with a pinned hash, what is refused, and scores that do not compare."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from governance.canon import canonical, parse_json
from governance.errors import EvidenceMissing, Tampered, UsageError
from training.config import WeightsConfig
from training.evaluate.extractors import local, open_extractor, random_convolutions
from training.evaluate.scores import FeatureScore, feature_scores
from training.taught.weights import PLACE, PREPROCESSOR, Lens, folder_digest

PARTS = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 16, "patch_size": 8,
}  # fmt: skip
CLIP = {"projection_dim": 12, "vision_config": {**PARTS, "projection_dim": 12}, "text_config": {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "vocab_size": 300, "max_position_embeddings": 32}}  # fmt: skip
MODELS = {
    "clip": lambda: transformers.CLIPModel(transformers.CLIPConfig(**CLIP)),
    "siglip_vision_model": lambda: transformers.SiglipVisionModel(
        transformers.SiglipVisionConfig(**PARTS)
    ),
    "dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**PARTS)),
}
SAID = {"size": {"shortest_edge": 16}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}


def saved(folder: Path, kind: str = "clip") -> Path:
    torch.manual_seed(1)
    MODELS[kind]().save_pretrained(folder)
    (folder / PREPROCESSOR).write_text(json.dumps(SAID))
    return folder


def pictures(count: int = 5, side: int = 24) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


@pytest.mark.parametrize("kind", MODELS)
def test_a_local_folder_gives_the_features_of_its_network(tmp_path: Path, kind: str) -> None:
    folder = saved(tmp_path / "weights", kind)
    extractor = local(folder, folder_digest(folder))
    shown = pictures(70, 16)  # more than a chunk, at the network's own size
    levels = torch.from_numpy(shown).double() / 255
    mean, std = (torch.tensor(SAID[name]).double()[:, None, None] for name in list(SAID)[1:])
    model = MODELS[kind]().__class__.from_pretrained(folder).eval()
    given = ((levels - mean) / std).float()
    with torch.no_grad():
        if kind == "clip":
            pooled = model.vision_model(pixel_values=given).pooler_output
            direct = model.visual_projection(pooled)
        else:
            direct = model(pixel_values=given).pooler_output
    features = extractor.features(shown)
    assert features.dtype == np.float64
    np.testing.assert_allclose(features, direct.numpy(), atol=1e-5)
    assert extractor.name == f"{kind}: weights"
    assert extractor.protocol == "16 px, Pillow bicubic, mean 0.5 0.4 0.3, std 0.2 0.3 0.4"


def test_pictures_are_resized_as_pillow_does() -> None:
    lens = Lens(side_px=8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    shown = pictures(1)
    direct = Image.fromarray(shown[0].transpose(1, 2, 0)).resize((8, 8), Image.Resampling.BICUBIC)
    brought = (lens.bring(shown)[0] * 255).round().to(torch.uint8)
    np.testing.assert_array_equal(brought.permute(1, 2, 0).numpy(), np.asarray(direct))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "extra.py").write_text("print('run me')"),
        lambda folder: (folder / PREPROCESSOR).unlink(),
        lambda folder: (folder / "config.json").write_text("{}"),
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
    ],
    ids=["a file more", "a file less", "another config", "other weights"],
)
def test_a_folder_that_is_not_the_one_pinned_is_never_loaded(tmp_path: Path, change) -> None:
    folder = saved(tmp_path / "weights")
    pinned = folder_digest(folder)
    change(folder)
    with pytest.raises(Tampered, match="was pinned"):
        local(folder, pinned)


@pytest.mark.parametrize(
    ("change", "fault", "said"),
    [
        (lambda f: (f / "config.json").unlink(), EvidenceMissing, "config.json"),
        (lambda f: (f / PREPROCESSOR).unlink(), EvidenceMissing, "has no preprocessor"),
        (lambda f: (f / PREPROCESSOR).write_text('{"size": 16}'), EvidenceMissing, "does not say"),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            EvidenceMissing,
            "no safetensors",
        ),
        (lambda f: (f / "config.json").write_text('{"model_type": "t5"}'), UsageError, "'t5'"),
    ],
    ids=["no config", "no lens", "half a lens", "a pickle", "another kind"],
)
def test_a_folder_that_cannot_judge_says_why(tmp_path: Path, change, fault, said: str) -> None:
    folder = saved(tmp_path / "weights")
    change(folder)
    with pytest.raises(fault, match=said):
        local(folder, folder_digest(folder))


def test_a_network_that_lacks_tensors_is_refused_rather_than_filled_at_random(tmp_path) -> None:
    folder = saved(tmp_path / "weights")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("visual_projection.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EvidenceMissing, match="lacks 1 tensors"):
        local(folder, folder_digest(folder))


def test_a_run_config_names_weights_and_the_environment_their_place(tmp_path, monkeypatch) -> None:
    folder = saved(tmp_path / "weights")
    named = WeightsConfig(name="weights", sha256=folder_digest(folder))
    monkeypatch.delenv(PLACE, raising=False)
    with pytest.raises(UsageError, match=PLACE):
        open_extractor(named)
    monkeypatch.setenv(PLACE, str(tmp_path))
    assert open_extractor(named).sha256 == named.sha256
    with pytest.raises(UsageError, match="no name of a folder"):
        open_extractor(replace(named, name="../weights"))


def test_random_convolutions_are_the_same_everywhere_and_say_so_by_their_hash() -> None:
    one, other = random_convolutions(), open_extractor(WeightsConfig(name="", sha256=""))
    assert one.sha256 == other.sha256
    assert one.sha256.startswith("a2671b0a78734514")
    np.testing.assert_array_equal(one.features(pictures()), other.features(pictures()))
    assert one.features(pictures()).shape == (5, 64)


def test_random_convolutions_tell_sets_apart_and_alike_sets_not() -> None:
    extractor, rng = random_convolutions(), np.random.default_rng(4)
    dark, bright, darker = (
        extractor.features(rng.integers(0, top, (80, 3, 32, 32), dtype=np.uint8))
        for top in (200, 256, 200)
    )
    settings = {"extractor": extractor, "seed": 1, "resamples": 40}
    alike = {score.metric: score for score in feature_scores(dark, darker, **settings)}
    apart = {score.metric: score for score in feature_scores(bright, darker, **settings)}
    assert set(apart) == {"frechet", "mmd_with_diagonal", "mmd_without_diagonal"}  # 80 are too few
    for metric, score in apart.items():
        difference = score.less(alike[metric])
        assert difference.low is not None
        assert difference.low > 0


SCORE = FeatureScore(
    metric="frechet", value=12.0, low=11.0, high=13.0, count=64, reference=500,
    extractor="dinov2: a", sha256="ab" * 32, protocol="224 px",
)  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "cd" * 32},
        {"protocol": "224 px, antialiased"},
        {"metric": "mmd_with_diagonal"},
        {"count": 65},
        {"reference": 501},
    ],
    ids=lambda change: next(iter(change)),
)
def test_scores_that_were_not_taken_in_one_way_refuse_to_be_compared(change) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        SCORE.less(replace(SCORE, **change))


def test_a_difference_has_an_interval_and_an_unbiased_score_any_number() -> None:
    better = replace(SCORE, value=9.0, low=8.5, high=9.5, extractor="the same by another name")
    difference = SCORE.less(better)
    assert difference.value == 3.0
    assert difference.low == pytest.approx(3.0 - 1.25**0.5)
    assert SCORE.less(replace(better, low=0.0)).low == difference.low  # an end that was cut at 0
    unbiased = replace(SCORE, metric="mmd_without_diagonal")
    assert unbiased.less(replace(unbiased, count=7, low=None, high=None)).low is None


def test_a_score_comes_back_from_the_evaluation_it_was_written_to() -> None:
    written = parse_json(canonical(SCORE.to_json()))
    assert FeatureScore.from_json(written, "frechet") == SCORE
    alone = replace(SCORE, low=None, high=None)
    assert FeatureScore.from_json(alone.to_json(), "frechet") == alone
    with pytest.raises(UsageError, match="protocol"):
        FeatureScore.from_json({k: v for k, v in written.items() if k != "protocol"}, "frechet")
