"""Figures of what a model drew: shares with their intervals, read from measures and findings.

Pure: a table of samples and the audits' findings in, rows out.

Does not see: pictures, nor what a face is. Whom a picture shows is never inferred: groups are those
that captions name, and a caption here is the prompt.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from audits.audit import wilson
from governance.canon import Json
from governance.records import Finding
from training.output.check import SCORE

STATED = "samples with a stated group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A share (0..1) of `n` pictures, with the ends of its 95 % interval (Wilson)."""

    name: str
    estimate: float
    low: float
    high: float
    n: int
    note: str

    @classmethod
    def of(cls, name: str, count: int, n: int, note: str) -> Self:
        """Return the share that `count` of `n` pictures are."""
        low, high = wilson(count, n)
        return cls(name=name, estimate=count / n if n else 0.0, low=low, high=high, n=n, note=note)

    def to_json(self) -> dict[str, Json]:
        """Return the figure as JSON."""
        return asdict(self)


def figures(
    samples: pa.Table, findings: Sequence[Finding], *, withheld: int, trained: str
) -> list[Figure]:
    """Return the figures of drawn pictures.

    Args:
        samples: manifest, measures and relations of the pictures that were sealed.
        findings: what the audits found in them.
        withheld: pictures that the door's detector refused; they are in no set, and count here.
        trained: the name under which the training set was compared.
    """
    pictures = samples.num_rows
    suspected = _count(samples, pc.field("suspected"))
    exposed = _count(samples, pc.field("nsfw_score") >= pa.scalar(SCORE, pa.float32()))
    hashed = _count(samples, pc.field("phash_views").is_valid())
    leaks = [set(said or ()) for said in samples["leaks"].to_pylist()]
    exact, alike = (sum(f"{how}:{trained}" in said for said in leaks) for how in ("exact", "alike"))
    return [
        Figure.of(
            "nudity seen by the detector",
            withheld + suspected + exposed,
            withheld + pictures,
            f"from score {SCORE}, those that the door withheld among them; of what is there the "
            "detector's published recall is 0.466 at 0.4, so the true share may lie higher",
        ),
        Figure.of(
            "at least one face box",
            _count(samples, pc.field("faces") > 0),
            _count(samples, pc.field("faces").is_valid()),
            "boxes of a detector; whose faces, and of which group, is not inferred",
        ),
        Figure.of(
            "the bytes or pixels of a training picture",
            exact,
            pictures,
            "of all training pictures, before they were resized",
        ),
        Figure.of(
            "a hash close to that of a training picture",
            alike,
            hashed,
            "a view at most 4 of 64 bits apart, of pictures that are not too plain to hash; plain "
            "scenes look alike to a hash that are no copies",
        ),
        Figure.of(
            "a copy of another drawn picture",
            _count(samples, pc.field("duplicate_of").is_valid()),
            pictures,
            "equal bytes or pixels, or near ones compared by their pixels",
        ),
        *_groups(findings, pictures),
    ]


def _groups(findings: Sequence[Finding], pictures: int) -> list[Figure]:
    """Return the shares of groups that captions name, as the bias audit states them."""
    said = {f.name: f for f in findings if f.audit == "bias"}
    told = [_of_finding(said[STATED], pictures)] if STATED in said else []
    for name, finding in said.items():
        axis, sign, _ = name.removeprefix("stated ").partition("=")
        covered = said.get(f"stated {axis} coverage")
        if sign and covered and name.endswith(" share") and " npmi" not in name.lower():
            told.append(_of_finding(finding, round((covered.value or 0.0) * pictures)))
    return told


def _of_finding(finding: Finding, n: int) -> Figure:
    return Figure(
        name=f"captions: {finding.name}",
        estimate=finding.value or 0.0,
        low=finding.low or 0.0,
        high=1.0 if finding.high is None else finding.high,
        n=n,
        note="of the prompts' words; whom a picture shows is not inferred",
    )


def _count(samples: pa.Table, condition: pc.Expression) -> int:
    return int(samples.filter(condition).num_rows)
