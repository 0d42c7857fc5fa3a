"""Held-out scores: attributes of drawn scenes, and the error on pictures kept out of training.

Does not see: pictures beyond the scene grammar; there only the error is measured.
"""

from collections.abc import Collection, Sequence
from dataclasses import fields
from random import Random

import torch

from training.config import RunConfig
from training.data.samples import ClearedSamples
from training.evaluate.estimate import Estimate, Score
from training.evaluate.scenes import Scene, every_scene, parse
from training.model import Model
from training.objective import Noised, errors, to_unit
from training.text.tokens import Tokens

ALL = "all_attributes"
ATTRIBUTES = tuple(field.name for field in fields(Scene))
TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # the middles of five equal bins
MOSTLY = 0.5  # of the captions must be scenes before scenes are asked for


def unseen_scenes(captions: Collection[str], *, count: int, seed: int) -> tuple[Scene, ...]:
    """Return up to `count` scenes that no caption speaks of; none when captions are no scenes."""
    told = {scene for scene in map(parse, captions) if scene is not None}
    if sum(parse(text) is not None for text in captions) <= MOSTLY * len(captions):
        return ()
    unseen = [scene for scene in every_scene() if scene not in told]
    return tuple(Random(seed).sample(unseen, min(count, len(unseen))))  # noqa: S311  not a secret


def scene_scores(asked: Sequence[Scene], drawn: Sequence[Scene]) -> dict[str, Score]:
    """Return the score of each attribute, and of all four at once; nothing for no scene."""
    if not asked:
        return {}
    hits = [
        {name: getattr(want, name) == getattr(got, name) for name in ATTRIBUTES}
        for want, got in zip(asked, drawn, strict=True)
    ]
    scores = {name: Score.of(sum(hit[name] for hit in hits), len(hits)) for name in ATTRIBUTES}
    return {**scores, ALL: Score.of(sum(all(hit.values()) for hit in hits), len(hits))}


@torch.no_grad()
def error_by_time(model: Model, samples: ClearedSamples, config: RunConfig) -> dict[str, Estimate]:
    """Return the mean squared error of the clean picture at five times, with fixed noise.

    The same samples, times and noise for the same seed, so that runs can be compared; empty when
    nothing was kept out. The interval is over the samples.
    """
    count = min(len(samples.pixels), config.evaluation.loss_samples)
    if count == 0:
        return {}
    clean = to_unit(torch.from_numpy(samples.pixels[:count]))
    captions = samples.captions[:count]
    tokens = Tokens.of(captions, model.tokenizer, config.text.max_tokens).rows(range(count))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(config.seed))
    found = {}
    for time in TIMES:
        noised = Noised.at(torch.full((count,), time), clean=clean, noise=noise, tokens=tokens)
        found[f"{time:.1f}"] = Estimate.mean_of(
            errors(model, noised).double().numpy(),
            seed=config.seed,
            resamples=config.evaluation.resamples,
        )
    return found
