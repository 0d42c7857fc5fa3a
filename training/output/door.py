"""The door every picture goes through: prompts are read, then what was drawn is looked at.

Does not see: what neither words nor detector give away. Without a check of pictures only the words
are read, and `checked` says so.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image

from training.output.blocklist import MINORS, Blocklist
from training.output.check import PictureCheck
from training.output.refusal import Refusal, prompt_digest

Artist: TypeAlias = Callable[[Sequence[int]], Iterable[Image.Image]]  # draws prompts, by place


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The blocklist, the check of pictures (None: not checked), and the salt of the log."""

    blocklist: Blocklist
    check: PictureCheck | None
    salt: bytes

    @property
    def checked(self) -> bool:
        """Say whether pictures are looked at."""
        return self.check is not None

    def through(
        self, prompts: Sequence[str], artist: Artist
    ) -> Iterator[tuple[int, Image.Image | Refusal]]:
        """Yield each prompt by its place, with its picture or why there is none.

        A refused prompt is never drawn. Raises UsageError, and what artist and check do.
        """
        heard = [self.blocklist.heard(prompt) for prompt in prompts]
        asked = list[int]()
        for place, lists in enumerate(heard):
            if reason := self.blocklist.against(lists):
                digest = prompt_digest(self.salt, prompts[place])
                yield place, Refusal.of(reason, "prompt", place=place, digest=digest)
            else:
                asked.append(place)
        for place, image in zip(asked, artist(asked) if asked else (), strict=True):
            minor = bool(heard[place] & MINORS)
            if self.check and (found := self.check.against(image, minor=minor)):
                digest = prompt_digest(self.salt, prompts[place])
                yield place, Refusal.of(found, "picture", place=place, digest=digest)
            else:
                yield place, image
