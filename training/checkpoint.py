"""Checkpoints: safetensors and JSON in a folder that appears whole, with one digest over it all.

Bytes are held to the recorded digest before anything is parsed. Only tensors and JSON: nothing in
a checkpoint can run code.

Does not see: who recorded the digest; `start.py` takes it from the ledger.
"""

import os
import shutil
from pathlib import Path

from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes

from governance.canon import canonical, digest, flush_folder, parse_json, sha256, write_whole
from governance.errors import EvidenceMissing, Tampered
from training.config import RunConfig
from training.state import Counts, Training

KEPT = 2  # the one pointed at, and the one before it
TENSORS = ("weights", "average", "optimiser")
FILES = (*(f"{name}.safetensors" for name in TENSORS), "tokenizer.json", "counts.json")
LATEST = "latest"
SEALED = "checkpoints.sealed"


def save(run: Path, training: Training) -> str:
    """Write `checkpoints/step-000123` and return its digest; `point` makes it the latest."""
    files = {f"{n}.safetensors": tensor_bytes(t) for n, t in training.tensors().items()}
    files["tokenizer.json"] = training.model.tokenizer.backend_tokenizer.to_str().encode()
    files["counts.json"] = canonical(training.counts.to_json())
    folder = folder_of(run, training.counts.step)
    part = folder.with_name(f".{folder.name}.part")
    for leftover in (part, folder):  # of a process that was killed before it could point here
        shutil.rmtree(leftover, ignore_errors=True)
    for name, data in files.items():
        write_whole(part / name, data)
    os.replace(part, folder)  # noqa: PTH105  the folder appears whole
    flush_folder(folder.parent)
    return digest({name: sha256(data) for name, data in files.items()})


def point(run: Path, step: int) -> None:
    """Make a checkpoint the one to resume from, and forget all but it and the one before.

    What killed processes left behind is forgotten too: parts, and steps that were never told.
    """
    write_whole(run / LATEST, folder_of(run, step).name.encode())
    folders = list((run / "checkpoints").iterdir())
    whole = sorted(_step_of(folder.name) or 0 for folder in folders)
    kept = [folder_of(run, number) for number in whole if 0 < number <= step][-KEPT:]
    for folder in folders:
        if folder not in kept:
            shutil.rmtree(folder)


def seal(run: Path) -> None:
    """Make a stopped run's weights unusable: out of reach of a resume, and readable by nobody."""
    (run / LATEST).unlink(missing_ok=True)
    folder = run / "checkpoints"
    for path in folder.rglob("*.safetensors"):
        path.chmod(0)
    os.replace(folder, run / SEALED)  # noqa: PTH105  whole


def latest_step(run: Path) -> int | None:
    """Return the step to resume from, or None before the first checkpoint. Raises Tampered."""
    if not (run / LATEST).is_file():
        return None
    step = _step_of((run / LATEST).read_text())
    if step is None:
        raise Tampered(f"{LATEST} names no checkpoint; restore it.")
    return step


def load(run: Path, step: int, *, recorded: str, config: RunConfig) -> Training:
    """Return the training as it was at a step.

    Raises:
        EvidenceMissing: a file of the checkpoint is gone.
        Tampered: the files are not those whose digest was recorded.
    """
    folder = folder_of(run, step)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise EvidenceMissing(f"Checkpoint {folder.name} lacks {', '.join(missing)}; restore it.")
    files = {name: (folder / name).read_bytes() for name in FILES}
    found = digest({name: sha256(data) for name, data in files.items()})
    if found != recorded:
        raise Tampered(
            f"Checkpoint {folder.name} has the digest {found[:12]}; {recorded[:12]} was recorded "
            "when it was made. Restore it, or start a new run."
        )
    training = Training.fresh(config, files["tokenizer.json"].decode())
    tensors = {name: read_tensors(files[f"{name}.safetensors"]) for name in TENSORS}
    training.restore(tensors, Counts.from_json(parse_json(files["counts.json"])))
    return training


def folder_of(run: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return run / "checkpoints" / f"step-{step:06d}"


def _step_of(name: str) -> int | None:
    digits = name.removeprefix("step-")
    return int(digits) if digits != name and digits.isdecimal() else None
