"""Judging: every score of drawn pictures against the training pictures, and what was memorised.

Does not see: time. Whoever calls asks the clock before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from governance.canon import Json
from training.config import RunConfig
from training.data.cleared import Pixels
from training.data.samples import ClearedSamples
from training.evaluate.clip_score import Clip
from training.evaluate.estimate import FEWEST
from training.evaluate.extractors import (
    FINE,
    ModuleExtractor,
    open_extractor,
    random_convolutions,
)
from training.evaluate.memorised import Memorised, perceptual_signs
from training.evaluate.scores import FeatureScore, clip_score, feature_scores
from training.taught.weights import weights_folder


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Judge:
    """Who judges: an extractor, one for single pictures, a CLIP where one is named, settings."""

    config: RunConfig
    extractor: ModuleExtractor
    likeness: ModuleExtractor
    clip: Clip | None

    @classmethod
    def of(cls, config: RunConfig) -> "Judge":
        """Open what a run config names. Raises UsageError, EvidenceMissing, Tampered."""
        clip, named = config.evaluation.clip, config.evaluation.extractor
        extractor = open_extractor(named)
        return cls(
            config=config,
            extractor=extractor,
            likeness=extractor if named.name else random_convolutions(FINE),
            clip=Clip.open(weights_folder(clip), clip.sha256) if clip.name else None,
        )

    def judged(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        *,
        trained: ClearedSamples,
        heldout: ClearedSamples,
        shown: int,
    ) -> dict[str, Json]:
        """Return the scores by name, and what lies too near to a training picture.

        Nothing where fewer than two pictures were drawn, or trained on. Of the first `shown`
        pictures the ids of the nearest training pictures are named.
        """
        if min(len(images), len(trained)) < FEWEST:
            return {}
        pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
        pixels = pixels.transpose(0, 3, 1, 2)
        return {
            "scores": {one.metric: one.to_json() for one in self._scores(pixels, prompts, trained)},
            "memorised": self._memorised(pixels, trained, heldout, shown=shown),
        }

    def _scores(
        self, pixels: Pixels, prompts: Sequence[str], trained: ClearedSamples
    ) -> tuple[FeatureScore, ...]:
        seed, wanted = self.config.seed, self.config.evaluation
        count = min(len(trained), wanted.reference_samples)
        scores = feature_scores(
            self.extractor.features(pixels),
            self.extractor.features(trained.reference(seed, count)),
            extractor=self.extractor,
            seed=seed,
            resamples=wanted.resamples,
        )
        if not self.clip:
            return scores
        fits = self.clip.scores(pixels, prompts)
        return *scores, clip_score(self.clip, fits, seed=seed, resamples=wanted.resamples)

    def _memorised(
        self, pixels: Pixels, trained: ClearedSamples, heldout: ClearedSamples, *, shown: int
    ) -> dict[str, Json]:
        ids = [digest.hex() for digest in trained.digests]
        said: dict[str, Json] = {}
        for way, seen in (("by_hash", perceptual_signs), ("by_feature", self.likeness.features)):
            sets = (seen(one) for one in (pixels, heldout.pixels, trained.pixels))
            found = Memorised.of(*sets)
            if found:
                said[way] = found.to_json(ids, shown=shown)
        if "by_feature" in said:
            said["feature_extractor"] = f"{self.likeness.name} {self.likeness.sha256[:12]}"
        return said
