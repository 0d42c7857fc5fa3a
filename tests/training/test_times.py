"""Times: drawn as the config says, shifted as published, and the same for drawing as elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from training.config import ObjectiveConfig, RunConfig
from training.export import export
from training.model import build
from training.sample import Sampling, denoised
from training.text.tokens import load_tokenizer, make_tokenizer
from training.times import drawing_times, drawn_times, shifted


@pytest.fixture
def objective(tiny: RunConfig) -> ObjectiveConfig:
    return tiny.objective


@pytest.mark.parametrize(
    ("time", "shift", "moved"),
    [(0.5, 3.0, 0.75), (0.2, 3.0, 3 / 7), (0.5, 1.0, 0.5), (0.0, 3.0, 0.0), (1.0, 3.0, 1.0)],
    ids=["half", "a fifth", "no shift", "the picture", "noise"],
)
def test_a_time_is_shifted_as_in_sd3(time: float, shift: float, moved: float) -> None:
    """Source: SD3, arXiv 2403.03206, equation 23, with s the square root of m / n."""
    assert float(shifted(torch.tensor(time), shift)) == pytest.approx(moved)


def _drawn(config: ObjectiveConfig, rows: int = 40_000) -> np.ndarray:
    return drawn_times(config, rows, torch.Generator().manual_seed(1)).double().numpy()


def test_times_are_logit_normal_before_they_are_shifted(objective: ObjectiveConfig) -> None:
    config = replace(objective, time_shift=3.0)
    times = _drawn(config)
    plain = times / (3 - 2 * times)  # the shift, undone
    logits = np.log(plain / (1 - plain))
    assert logits.mean() == pytest.approx(config.time_mean, abs=0.02)
    assert logits.std() == pytest.approx(config.time_std, abs=0.02)


def test_a_share_of_the_times_is_uniform_and_not_shifted(objective: ObjectiveConfig) -> None:
    even = _drawn(replace(objective, uniform_share=1.0, time_shift=3.0))
    np.testing.assert_allclose(np.quantile(even, (0.1, 0.5, 0.9)), (0.1, 0.5, 0.9), atol=0.01)
    narrow = replace(objective, time_mean=3.0, time_std=0.1)  # all of them above 0.9
    assert (_drawn(narrow) > 0.9).all()
    some = _drawn(replace(narrow, uniform_share=0.25))
    assert (some < 0.9).mean() == pytest.approx(0.25 * 0.9, abs=0.01)


def test_a_picture_is_drawn_through_times_that_are_shifted_alike() -> None:
    grid = drawing_times(4, 3.0)
    assert grid.tolist() == pytest.approx([1.0, 0.9, 0.75, 0.5, 0.0])
    assert drawing_times(2, 1.0).tolist() == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_stock_diffusers_draws_what_our_sampler_draws(tmp_path, tiny, shift: float) -> None:
    """Its grid ends a little above 0 before it ends at 0: one step more, and it goes beside ours.

    A random model does not see the picture even then, so the last step leaves some levels between.
    """
    from diffusers import PRXPixelPipeline  # noqa: PLC0415  heavy

    config = replace(tiny, objective=replace(tiny.objective, time_shift=shift))
    model = build(config, load_tokenizer(make_tokenizer(["a red circle"], 300)))
    with torch.no_grad():  # what is drawn depends on prompt and time
        for _, parameter in model.named_parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    export(model, config, tmp_path / "pipeline")
    stock = PRXPixelPipeline.from_pretrained(tmp_path / "pipeline", local_files_only=True)
    stock.set_progress_bar_config(disable=True)
    sampling = replace(Sampling.of(config), steps=8, guidance=3.0)
    noise = sampling.noise(1, seed=4)
    [ours] = denoised(model, ["a red circle"], sampling, noise)

    def theirs(shown: float) -> np.ndarray:
        stock.scheduler.set_shift(shown)
        drawn = stock(
            "a red circle", num_inference_steps=9, guidance_scale=3.0, latents=noise.clone(),
            use_resolution_binning=False,
        ).images[0]  # fmt: skip
        return np.asarray(drawn).astype(float)

    assert stock.scheduler.config["shift"] == shift
    stock.scheduler.set_timesteps(9)
    grid = stock.scheduler.sigmas[:-1]
    torch.testing.assert_close(grid, drawing_times(8, shift), atol=0.01, rtol=0)
    apart = abs(theirs(shift) - np.asarray(ours)).mean()
    other = abs(theirs(4.0 - shift) - np.asarray(ours)).mean()
    assert apart < (2 if shift == 1 else 15)  # of 255 levels
    assert other > 4 * apart
