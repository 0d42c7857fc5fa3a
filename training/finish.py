"""Finishing: export, draw, score. What must be there comes first; scoring fits in what is left.

Does not see: how the weights came about; it gets them with what was kept out of training.
"""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random

from PIL import Image

from governance.canon import Json, canonical, parse_json, sha256, write_whole
from governance.errors import PramanaError
from governance.records import as_object
from training.budget import CLOSE_S, Deadline
from training.config import RunConfig
from training.data.samples import ClearedSamples
from training.evaluate.heldout import error_by_time, scene_scores, unseen_scenes
from training.evaluate.judged import Judge
from training.evaluate.scenes import caption, oracle
from training.export import WEIGHTS_FILE, export
from training.model import Model
from training.output.blocklist import Blocklist
from training.output.policy import POLICY_FILE
from training.output.provenance import Origin
from training.records.record import Bars
from training.sample import draw, save_grid

CHUNK = 16  # prompts drawn at once; between chunks the clock is asked
REHEARSED_STEPS = 2
SHOWN = 32  # pictures in the grid
READ = 8  # captions that may be read for one that is drawn, whatever the set
REHEARSAL_FILE = "rehearsal.json"  # a run that was cut off comes back to what was measured
JUDGE_SPREAD = 4.0  # judging cannot stop halfway: at 1.25 a busy neighbour made a run 0.8 s late
NEAREST_FILE = "nearest.json"  # stays with the run


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Finishing:
    """What finishing needs: the run folder, what was trained on, what was kept out, the clock."""

    config: RunConfig
    folder: Path
    trained: ClearedSamples
    heldout: ClearedSamples
    deadline: Deadline
    bars: Bars
    blocklist: Blocklist | None = None  # None: the captions to draw are not read

    def rehearse(self, model: Model) -> tuple[float, float]:
        """Return the seconds that `complete` must have, and those in which it draws the rest.

        Measured by one export, a little drawing, and judging training pictures as if drawn.
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
        began = clock()
        self._judge([""] * config.evaluation.prompts, drawn=None)
        judging_s = clock() - began
        write_whole(self.folder / REHEARSAL_FILE, canonical({"judging_s": judging_s}))
        chunks = -(-config.evaluation.prompts // CHUNK)
        score_s = (chunks - 1) * chunk_s + JUDGE_SPREAD * judging_s
        return exported_s + 2 * chunk_s, score_s  # the error by time costs one chunk

    def complete(self, model: Model) -> dict[str, str]:
        """Write `pipeline/`, `samples.png`, `evaluation.json`; return the pipeline's SHA-256s."""
        digests = export(model, self.config, self.folder / "pipeline")
        cleared = self.trained.captions + self.heldout.captions
        wanted, seed = self.config.evaluation.prompts, self.config.seed
        scenes = unseen_scenes(cleared, count=wanted, seed=seed)
        prompts = [caption(scene) for scene in scenes] or told(
            self.trained.captions, count=SHOWN, seed=seed, blocklist=self.blocklist
        )
        began = self.deadline.clock()
        images = list(self._drawn(model, prompts))
        drawing_s = self.deadline.clock() - began
        save_grid(self.folder / "samples.png", images[:SHOWN], origin=self._origin(digests))
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
            "heldout_error_by_time": {
                time: error.to_json()
                for time, error in error_by_time(model, self.heldout, self.config).items()
            },
        }
        evaluation.update(self._without_ids(self._judged(images, prompts)))
        write_whole(self.folder / "evaluation.json", canonical(evaluation))
        return digests

    def _without_ids(self, said: Mapping[str, Json]) -> dict[str, Json]:
        """Keep which training pictures are nearest with the run: the evaluation is handed out.

        Whoever holds a picture could read from it that it was trained on; `pramana prove` tells
        that to whoever asks, one picture at a time.
        """
        ways = as_object(said.get("memorised", {}), "what was memorised")
        near = {way: found.pop("nearest") for way, found in ways.items() if isinstance(found, dict)}
        if not near:
            return dict(said)
        data = canonical(near)
        write_whole(self.folder / NEAREST_FILE, data, mode=0o600)
        return {**said, "memorised": {**ways, "nearest_sha256": sha256(data)}}

    def _judged(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> dict[str, Json]:
        """Return scores against the training pictures; or why there are none, if need be."""
        path = self.folder / REHEARSAL_FILE
        if not path.is_file():
            return {"not_judged": "there was no time to measure how long it takes"}
        judging_s = as_object(parse_json(path.read_bytes()), REHEARSAL_FILE).get("judging_s")
        needed_s = JUDGE_SPREAD * judging_s if isinstance(judging_s, int | float) else math.inf
        if self.deadline.time_left() < CLOSE_S + needed_s:
            return {"not_judged": "there was no time left"}
        try:
            return self._judge(prompts[: len(images)], drawn=images)
        except PramanaError as fault:  # weights that are gone by now cost the scores, not the run
            return {"not_judged": str(fault)}

    def _judge(
        self, prompts: Sequence[str], *, drawn: Sequence[Image.Image] | None
    ) -> dict[str, Json]:
        """Judge drawn pictures, or as many training pictures where none are drawn yet."""
        stand_ins = self.trained.pixels[: len(prompts)].transpose(0, 2, 3, 1)
        images = [Image.fromarray(one) for one in stand_ins] if drawn is None else drawn
        return Judge.of(self.config).judged(
            images,
            prompts[: len(images)],
            trained=self.trained,
            heldout=self.heldout,
            shown=SHOWN,
        )

    def _origin(self, pipeline: Mapping[str, str]) -> Origin:
        """Return what the grid says of itself; there is no card yet."""
        weights, policy = pipeline[WEIGHTS_FILE], pipeline[POLICY_FILE]
        return Origin(run=self.folder.name, weights=weights, card="", policy=policy)

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


def told(
    captions: Sequence[str], *, count: int, seed: int, blocklist: Blocklist | None
) -> list[str]:
    """Return up to `count` captions to draw, of those that the blocklist does not refuse.

    Where it leaves none, the one prompt is empty: nothing is asked for. No list, none is read.
    """
    every = sorted(set(captions))
    tried = Random(seed).sample(every, min(READ * count, len(every)))  # noqa: S311  no secret
    allowed = (text for text in tried if blocklist is None or blocklist.allows(text))
    return list(islice(allowed, count)) or [""]
