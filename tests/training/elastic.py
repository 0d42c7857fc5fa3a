"""One of the processes that `test_processes.py` starts: trains tiny scenes, stops, comes back.

`elastic.py FOLDER PARALLEL OPTIMISER STEP` trains up to a step from what the folder holds; the
clock stands still, so the rate is the same whenever a step is made. Only the last process asks to
stop. Writes losses, the digest and receipt of the checkpoint, and hashes of every whole tensor as
it was saved and as it was loaded.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from torch import Tensor

from governance.canon import canonical, parse_json
from training import checkpoint
from training.batches import Batches
from training.budget import Deadline, Pace, Reserve, Schedule, Watch
from training.config import RunConfig, load_preset
from training.data.samples import ClearedSamples
from training.loop import Surroundings, train
from training.records.journal import Journal
from training.records.meters import Meter
from training.records.receipt import ReceiptLine
from training.records.window import Window
from training.saves import Saves
from training.state import Counts, Training
from training.team.launch import launched
from training.team.parallel import Team, alone
from training.team.processes import processes
from training.team.sharding import whole
from training.text.tokens import Tokens, make_tokenizer

COLOURS = ("red", "green", "blue", "grey", "pink")
CAPTIONS = tuple(f"a {colour} circle" for colour in COLOURS) * 4


def config_of(parallel: str, optimiser: str) -> RunConfig:
    """Return the micro preset, shrunk, with two blocks; of two processes each has two parts."""
    micro = load_preset("micro")
    return replace(
        micro,
        parallel=parallel,
        image_px=16,
        batch_size=8,
        parts=4,
        model=replace(micro.model, width=16, depth=2, heads=2, bottleneck=8),
        text=replace(micro.text, vocabulary=300, width=8, depth=1, heads=2, mlp_width=8),
        optimiser=replace(micro.optimiser, kind=optimiser),
    )


def pictures() -> ClearedSamples:
    """Return noise with captions."""
    dice = np.random.default_rng(7)
    pixels = dice.integers(0, 256, (len(CAPTIONS), 3, 16, 16), dtype=np.uint8)
    return ClearedSamples(
        pixels, tuple(sha256(picture.tobytes()).digest() for picture in pixels), CAPTIONS
    )


def state(training: Training) -> dict[str, str]:
    """Return a hash of each whole tensor; all processes must ask."""
    tensors = {name: whole(tensor) for name, tensor in training.tensors().items()}
    return {name: hashed(tensor) for name, tensor in tensors.items()}


def hashed(tensor: Tensor) -> str:
    """Return a hash of a tensor's bytes."""
    return sha256(tensor.numpy().tobytes()).hexdigest()


def main(folder: Path, config: RunConfig, until: int, team: Team) -> None:
    """Train up to a step, and save."""
    told, samples = folder / "told.json", pictures()
    if told.is_file():
        step, recorded = parse_json(told.read_bytes())[:2]
        training = checkpoint.load(folder, step, recorded=recorded, config=config, team=team)
        keep(folder / "loaded.json", state(training), team)
    else:
        training = Training.fresh(config, make_tokenizer(CAPTIONS, 300), team)
    deadline = Deadline(started_at=0.0, budget_s=100.0, clock=lambda: 50.0)
    schedule = Schedule(warmup_share=0.02, decay_from=0.9)
    losses = Journal(folder / "losses.jsonl")

    def stepped(counts: Counts, loss: float, norm: float) -> None:
        if not team.rank:
            losses.append({"step": counts.step, "loss": loss.hex(), "norm": norm.hex()})

    def tell(line: ReceiptLine, _seconds: float) -> None:
        told.write_bytes(canonical([line.step, line.checkpoint, line.receipt, line.processes]))

    with ThreadPoolExecutor(1) as writer:
        saves = Saves(
            folder=folder, team=team, window=Window(meter=Meter(()), began=training.counts),
            cost=lambda: (None, ""), tell=tell, writer=writer,
        )  # fmt: skip
        around = Surroundings(
            config=config,
            batches=Batches(config=config, samples=samples, rank=team.rank, world=team.world),
            tokens=Tokens.of(CAPTIONS, training.model.tokenizer, 8),
            watch=Watch(
                pace=Pace(deadline=deadline, began_at=0.0, schedule=schedule),
                reserve=Reserve(save_s=0.0, finish_s=0.0),
                checkpoint_s=1.0,
            ),
            team=team,
            saves=saves,
            stop=lambda: team.rank == team.world - 1 and training.counts.step >= until,
            told=stepped,
            bar=lambda _: None,
        )
        train(training, around)
        said, model = state(training), training.assembled(config, team)
        keep(folder / "saved.json", said, team)
        for name, parameter in model.named_parameters() if model else ():
            assert said[f"weights/{name}"] == hashed(parameter.detach())
        saves.begin(training)
        saves.finish()


def keep(path: Path, said: dict[str, str], team: Team) -> None:
    """Write what the first process says."""
    if not team.rank:
        path.write_bytes(canonical(said))


def team_of(config: RunConfig) -> AbstractContextManager[Team]:
    """Return the team that torchrun started, or one process."""
    launch = launched()
    return processes(config, launch) if launch else alone(config.parts)


if __name__ == "__main__":
    place, parallel, optimiser, until = sys.argv[1:]
    settings = config_of(parallel, optimiser)
    with team_of(settings) as here:
        main(Path(place), settings, int(until), here)
