"""CLIP score: from a local folder, by the published formula, and no other model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from governance.errors import Tampered, UsageError
from training.evaluate.clip_score import Clip
from training.evaluate.scores import clip_score
from training.taught.weights import PREPROCESSOR, folder_digest
from training.text.tokens import load_tokenizer, make_tokenizer

PARTS = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip
PROMPTS = ["a red circle", "a very long " * 40, "", "लाल वृत्त"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "tiny-clip"
    tokenizer = load_tokenizer(make_tokenizer(PROMPTS, 300))
    torch.manual_seed(1)
    text = {**PARTS, "vocab_size": len(tokenizer), "max_position_embeddings": 32}
    config = transformers.CLIPConfig(
        projection_dim=12,
        vision_config={**PARTS, "image_size": 16, "patch_size": 8},
        text_config={**text, "eos_token_id": 2, "pad_token_id": 0},
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / PREPROCESSOR).write_text(
        json.dumps({"crop_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    )
    return folder


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)


def test_the_score_is_100_times_the_cosine_and_never_negative(folder: Path) -> None:
    clip = Clip.open(folder, folder_digest(folder))
    shown = pictures(100)
    prompts = [PROMPTS[n % len(PROMPTS)] for n in range(100)]
    scores = clip.scores(shown, prompts)
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    direct = []
    for picture, prompt in zip(shown, prompts, strict=True):  # one by one, without padding
        ids = clip.tokenizer(prompt, truncation=True, max_length=32)["input_ids"] or [0]
        with torch.no_grad():
            seen = model(
                pixel_values=torch.from_numpy(picture)[None].float() / 127.5 - 1.0,
                input_ids=torch.tensor([ids]),
            )
        direct.append(100.0 * float((seen.image_embeds * seen.text_embeds).sum()))
    told = np.array([bool(prompt) for prompt in prompts])
    np.testing.assert_allclose(scores[told], np.clip(direct, 0, None)[told], atol=1e-3)
    assert len(set(scores[:4].round(3))) == 4
    with torch.no_grad():
        clip.model.visual_projection.weight.neg_()
    assert not clip.scores(shown[:2], PROMPTS[:2]).any()  # both were above 0 before
    assert scores[:2].all()


def test_the_mean_has_an_interval_and_says_by_whom(folder: Path) -> None:
    clip = Clip.open(folder, folder_digest(folder))
    score = clip_score(clip, [20.0, 24.0, 28.0, 32.0], seed=1, resamples=100)
    assert score.value == 26.0
    assert score.low is not None
    assert 20.0 < score.low < 26.0 < score.high < 32.0
    assert (score.extractor, score.sha256) == ("clip: tiny-clip", folder_digest(folder))
    assert score.protocol.endswith("32 tokens")


def test_every_picture_needs_its_prompt(folder: Path) -> None:
    clip = Clip.open(folder, folder_digest(folder))
    with pytest.raises(UsageError, match="one each"):
        clip.scores(pictures(2), ["a red circle"])


def test_another_hash_and_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Tampered, match="was pinned"):
        Clip.open(folder, "0" * 64)
    other = tmp_path / "other"
    transformers.Dinov2Config().save_pretrained(other)
    with pytest.raises(UsageError, match="CLIP is needed"):
        Clip.open(other, folder_digest(other))
