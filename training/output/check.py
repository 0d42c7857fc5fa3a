"""The check of drawn pictures: a detector given by the caller, and the scores that refuse.

A picture that is refused is never written, not even to be looked at: a folder of refused pictures
would be a collection of them.

Does not see: what the detector misses. NudeNet's published recall is 0.606 at score 0.2 and 0.466
at 0.4 (NudeNet#159), measured on photographs; of drawings and of small pictures nothing is known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image

from training.output.refusal import Reason

Detector: TypeAlias = Callable[[Image.Image], Mapping[str, float]]  # refused class: highest score

SCORE = 0.45  # the commercial pack's; 17 of 1,258 harmless photographs reach it
MINOR_SCORE = 0.2  # the detector's floor: where a prompt names a minor, any box refuses
EXPOSED = Reason(rule="OUT-EXPOSED", kind="sexual", why="the detector saw nudity in what was drawn")
EXPOSED_MINOR = Reason(
    rule="OUT-EXPOSED-MINOR",
    kind="sexual-minors",
    why="the prompt names a minor, and the detector saw nudity in what was drawn",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureCheck:
    """A detector, what to call it, and the scores in 0..1 from which a picture is refused."""

    detector: Detector
    name: str
    score: float = SCORE
    minor_score: float = MINOR_SCORE

    def against(self, image: Image.Image, *, minor: bool) -> Reason | None:
        """Return why a picture is refused, or None; `minor` where its prompt names one.

        A score that is no number refuses. Raises what the detector does.
        """
        allowed = self.minor_score if minor else self.score
        if all(score < allowed for score in self.detector(image).values()):
            return None
        return EXPOSED_MINOR if minor else EXPOSED
