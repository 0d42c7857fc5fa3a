"""Scores of sets of pictures: each with what it was taken by, so that none is compared amiss.

Does not see: whether a difference matters to anybody who looks at the pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import hypot
from typing import Self

from governance.canon import Json
from governance.errors import UsageError
from training.evaluate.clip_score import Clip
from training.evaluate.estimate import Estimate, Floats
from training.evaluate.extractors import Extractor
from training.evaluate.frechet import frechet, frechet_at_infinity
from training.evaluate.mmd import cmmd

BIASED = ("frechet", "mmd_with_diagonal")  # by the number of pictures
EXTRAPOLATIONS = 20  # lines, each through distances at six shares


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureScore:
    """A score of drawn pictures, with `reference` pictures beside them, as one extractor sees it.

    `sha256` is of the extractor's weights, `protocol` says how pictures were brought to it.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    count: int
    reference: int
    extractor: str
    sha256: str
    protocol: str

    @classmethod
    def of(
        cls, metric: str, estimate: Estimate, *, seen_by: Extractor | Clip, reference: int
    ) -> Self:
        """Return a score from its estimate."""
        return cls(
            metric=metric,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            count=estimate.count,
            reference=reference,
            extractor=seen_by.name,
            sha256=seen_by.sha256,
            protocol=seen_by.protocol,
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Json], metric: str) -> Self:
        """Read a score. Raises UsageError where it says too little to be compared."""
        ends = {"low": None, "high": None, **value, "metric": metric}
        names = {field.name for field in fields(cls)}
        if ends.keys() != names:
            wrong = ", ".join(sorted(ends.keys() ^ names))
            raise UsageError(f"The score {metric} lacks or does not know {wrong}; take it again.")
        return cls(**ends)  # type: ignore[arg-type]  # what it holds is compared, never computed on

    def to_json(self) -> dict[str, Json]:
        """Return the score as JSON, under its metric's name."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: held for k, held in known.items() if k != "metric" and held is not None}

    def less(self, other: Self) -> Estimate:
        """Return this score less another; the interval takes their spreads as independent.

        Raises:
            UsageError: they are not of one kind: metric, weights, protocol, or, where the score is
                biased by it, the number of pictures.
        """
        kind = ["metric", "sha256", "protocol"]
        kind += ["count", "reference"] * (self.metric in BIASED)
        for name in kind:
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                raise UsageError(
                    f"These scores differ in {name}, {mine} and {its}, and cannot be compared; "
                    "take both in one way."
                )
        halves = [
            None if one.high is None else one.high - one.value  # the low end may be cut at 0
            for one in (self, other)
        ]
        value, count = self.value - other.value, min(self.count, other.count)
        mine, its = halves
        if mine is None or its is None:
            return Estimate(value=value, low=None, high=None, count=count)
        half = hypot(mine, its)
        return Estimate(value=value, low=value - half, high=value + half, count=count)


def feature_scores(
    drawn: Floats, reference: Floats, *, extractor: Extractor, seed: int, resamples: int
) -> tuple[FeatureScore, ...]:
    """Return every score of features (N, D) against a reference (M, D). Raises UsageError."""
    found = {
        "frechet": frechet(drawn, reference, seed=seed, resamples=resamples),
        "frechet_at_infinity": frechet_at_infinity(
            drawn, reference, seed=seed, repeats=EXTRAPOLATIONS
        ),
        **{
            f"mmd_{said}_diagonal": cmmd(
                drawn, reference, diagonal=said == "with", seed=seed, resamples=resamples
            )
            for said in ("with", "without")
        },
    }
    return tuple(
        FeatureScore.of(metric, estimate, seen_by=extractor, reference=len(reference))
        for metric, estimate in found.items()
        if estimate is not None
    )


def clip_score(
    clip: Clip, values: Sequence[float] | Floats, *, seed: int, resamples: int
) -> FeatureScore:
    """Return the mean of CLIP scores. There is no reference: each picture has its own prompt."""
    estimate = Estimate.mean_of(values, seed=seed, resamples=resamples)
    return FeatureScore.of("clip_score", estimate, seen_by=clip, reference=0)
