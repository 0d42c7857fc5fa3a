"""Finishing: export, draw, score. What must be there comes first; scoring fits in what is left.

Does not see: how the weights came about; it gets them with what was kept out of training.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

from PIL import Image

from governance.canon import Json, canonical, write_whole
from training.budget import Deadline
from training.config import RunConfig
from training.data import ClearedSamples
from training.evaluate.heldout import error_by_time, scene_scores, unseen_scenes
from training.evaluate.scenes import caption, oracle
from training.export import export
from training.model import Model
from training.record import Bars
from training.sample import draw, save_grid

CHUNK = 16  # prompts drawn at once; between chunks the clock is asked
REHEARSED_STEPS = 2
SHOWN = 32  # pictures in the grid


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Finishing:
    """What finishing needs: the run folder, what was trained on, what was kept out, the clock."""

    config: RunConfig
    folder: Path
    trained: ClearedSamples
    heldout: ClearedSamples
    deadline: Deadline
    bars: Bars

    def rehearse(self, model: Model) -> tuple[float, float]:
        """Return the seconds that `complete` must have, and those in which it draws the rest.

        Measured by one export and a little drawing.
        """
        clock, config = self.deadline.clock, self.config
        began, scratch = clock(), self.folder / ".rehearsal"
        export(model, config, scratch)
        shutil.rmtree(scratch)
        exported_s = clock() - began
        short = replace(config, evaluation=replace(config.evaluation, steps=REHEARSED_STEPS))
        draw(model, [""] * CHUNK, short, seed=config.seed)  # the first time is always slower
        began = clock()
        draw(model, [""] * CHUNK, short, seed=config.seed)
        chunk_s = (clock() - began) * config.evaluation.steps / REHEARSED_STEPS
        chunks = -(-config.evaluation.prompts // CHUNK)
        return exported_s + 2 * chunk_s, (chunks - 1) * chunk_s  # the error by time costs one

    def complete(self, model: Model) -> dict[str, str]:
        """Write `pipeline/`, `samples.png`, `evaluation.json`; return the pipeline's SHA-256s."""
        digests = export(model, self.config, self.folder / "pipeline")
        cleared = self.trained.captions + self.heldout.captions
        wanted, seed = self.config.evaluation.prompts, self.config.seed
        scenes = unseen_scenes(cleared, count=wanted, seed=seed)
        prompts = [caption(scene) for scene in scenes] or self._told()
        began = self.deadline.clock()
        images = list(self._drawn(model, prompts))
        drawing_s = self.deadline.clock() - began
        save_grid(self.folder / "samples.png", images[:SHOWN])
        read = [oracle(image) for image in images[: len(scenes)]]
        scores = scene_scores(scenes[: len(read)], read)
        evaluation: dict[str, Json] = {
            **{name: asdict(score) for name, score in scores.items()},
            "prompts_unseen_in_training": bool(scenes),
            "prompts_wanted": len(prompts),
            "prompts_drawn": len(images),
            "seconds_per_picture": drawing_s / len(images),
            "samples_shown": prompts[: len(images)][:SHOWN],
            "heldout_samples": len(self.heldout),
            "heldout_error_by_time": error_by_time(model, self.heldout, self.config),
        }
        write_whole(self.folder / "evaluation.json", canonical(evaluation))
        return digests

    def _told(self) -> list[str]:
        """Return captions to draw where nothing can be asked that is known to be unseen."""
        told = sorted(set(self.trained.captions))
        return Random(self.config.seed).sample(told, min(SHOWN, len(told)))  # noqa: S311  no secret

    def _drawn(self, model: Model, prompts: Sequence[str]) -> Iterator[Image.Image]:
        """Yield pictures chunk by chunk, for as long as another chunk fits before the deadline."""
        clock, slowest_s = self.deadline.clock, 0.0
        bar = self.bars("drawing", len(prompts))
        for first in range(0, len(prompts), CHUNK):
            began, chunk = clock(), prompts[first : first + CHUNK]
            if first and not self.deadline.leaves_room(slowest_s):
                return
            yield from draw(model, chunk, self.config, seed=self.config.seed + first)
            slowest_s = max(slowest_s, clock() - began)
            bar(len(chunk))
