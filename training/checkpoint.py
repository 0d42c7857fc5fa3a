"""Checkpoints: safetensors and JSON in a folder that appears whole, with one digest over it all.

Every process writes what it holds, beside training, through `torch.distributed.checkpoint`, and any
number of processes reads it back. Bytes are held to the recorded digest before anything is parsed.
Only tensors and JSON: nothing in a checkpoint can run code.

Does not see: who recorded the digest, which `records/telling.py` takes from the ledger; nor whoever
changes a file between its being hashed and its being read.
"""

import os
import re
import shutil
import time
import warnings
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.state_dict_loader import load as read_shards
from torch.distributed.checkpoint.state_dict_saver import save as write_shards

from governance.canon import (
    canonical,
    digest,
    file_sha256,
    flush_folder,
    parse_json,
    write_whole,
)
from governance.errors import EvidenceMissing, PramanaError, Tampered
from training.config import RunConfig
from training.state import Counts, Training
from training.team.parallel import ALONE, Team

KEPT = 2  # the one pointed at, and the one before it
TENSORS = ("weights", "average", "optimiser")
FILES = (*(f"{name}.safetensors" for name in TENSORS), "tokenizer.json", "counts.json")
SHARD = re.compile(rf"({'|'.join(TENSORS)})-\d{{5}}-of-(\d{{5}})\.safetensors")
LATEST = "latest"
SEALED = "checkpoints.sealed"


@dataclass(frozen=True, slots=True)
class Written:
    """A checkpoint that is whole: its digest, and the seconds that writing went on."""

    digest: str
    seconds: float


def begin(
    run: Path, training: Training, writer: Executor, *, team: Team = ALONE
) -> Future[Written]:
    """Copy the tensors, and write `checkpoints/step-000123` in another thread.

    The digest is the first process's; `point` makes the checkpoint the latest.
    """
    folder = folder_of(run, training.counts.step)
    part = folder.with_name(f".{folder.name}.part")
    team.first(partial(_clear, part, folder))
    kept = {name: tensor.to("cpu", copy=True) for name, tensor in training.tensors().items()}
    files = {
        "tokenizer.json": training.model.tokenizer.backend_tokenizer.to_str().encode(),
        "counts.json": canonical(training.counts.to_json()),
    }
    return writer.submit(_write, kept, files, part=part, folder=folder, team=team)


def _clear(*leftovers: Path) -> None:
    """Remove what a process left that was killed before it could point here."""
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)


def _write(
    tensors: dict[str, Tensor],
    files: Mapping[str, bytes],
    *,
    part: Path,
    folder: Path,
    team: Team,
) -> Written:
    """Write all there is of a checkpoint; the first process makes the folder whole."""
    began = time.monotonic()
    kinds = {name: 1 + TENSORS.index(name.partition("/")[0]) for name in tensors}
    writer = HuggingFaceStorageWriter(str(part), fqn_to_index_mapping=kinds, save_distributed=True)
    _expect_one_process(team)
    try:
        write_shards(
            tensors, storage_writer=writer, process_group=team.writers, no_dist=team.writers is None
        )
    except (CheckpointException, RuntimeError) as fault:
        raise PramanaError(
            f"The checkpoint {folder.name} could not be written by every process: {_first(fault)}. "
            "See to it, and start the run again: it goes on from the one before."
        ) from fault
    if team.rank:
        return Written("", time.monotonic() - began)
    _name_shards(part)
    for name, data in files.items():
        write_whole(part / name, data)
    said = _digests(part)
    flush_folder(part)
    os.replace(part, folder)  # noqa: PTH105  the folder appears whole
    flush_folder(folder.parent)
    return Written(digest(said), time.monotonic() - began)


def _first(fault: BaseException) -> str:
    """Return what the first process that failed said."""
    if isinstance(fault, CheckpointException):
        return str(next(iter(fault.failures.values()))[0])
    return str(fault)


def _name_shards(part: Path) -> None:
    """Name files by what is in them; of one process there is one file of each kind."""
    for kind, name in enumerate(TENSORS, start=1):
        found = sorted(part.glob(f"shard-*-model-{kind:05d}-of-*.safetensors"))
        for place, path in enumerate(found, start=1):
            of = "" if len(found) == 1 else f"-{place:05d}-of-{len(found):05d}"
            path.rename(part / f"{name}{of}.safetensors")


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir())}


def _expect_one_process(team: Team) -> None:
    """Hear no warning that there is one process where there is: from any thread, so not undone."""
    if team.writers is None:
        warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable")


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


def load(run: Path, step: int, *, recorded: str, config: RunConfig, team: Team = ALONE) -> Training:
    """Return the training as it was at a step, whatever number of processes wrote it.

    Raises:
        EvidenceMissing: a file of the checkpoint is gone.
        Tampered: the files are not those whose digest was recorded.
    """
    folder = folder_of(run, step)
    missing = _missing(folder)
    if missing:
        raise EvidenceMissing(f"Checkpoint {folder.name} lacks {', '.join(missing)}; restore it.")
    found = digest(_digests(folder))
    if found != recorded:
        raise Tampered(
            f"Checkpoint {folder.name} has the digest {found[:12]}; {recorded[:12]} was recorded "
            "when it was made. Restore it, or start a new run."
        )
    training = Training.fresh(config, (folder / "tokenizer.json").read_text(), team)
    _read_tensors(folder, training.tensors(), team)
    training.counts = Counts.from_json(parse_json((folder / "counts.json").read_bytes()))
    return training


def _missing(folder: Path) -> list[str]:
    """Return the files that a checkpoint lacks; tensors may lie in one file or in several."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    wanted = set(FILES)
    sharded = filter(None, map(SHARD.fullmatch, names))
    for kind, count in {(found[1], int(found[2])) for found in sharded}:
        wanted.discard(f"{kind}.safetensors")
        wanted |= {f"{kind}-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)}
    return sorted(wanted - names)


@torch.no_grad()
def _read_tensors(folder: Path, wanted: dict[str, Tensor], team: Team) -> None:
    """Fill tensors from a checkpoint. Raises Tampered when it holds others."""
    reader = HuggingFaceStorageReader(str(folder))
    try:
        held = reader.read_metadata().state_dict_metadata
    except (SafetensorError, KeyError, ValueError) as fault:
        raise Tampered(f"Checkpoint {folder.name} cannot be read: {fault}.") from None
    shapes = {name: tuple(getattr(told, "size", ())) for name, told in held.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in wanted.items()}:
        raise Tampered(f"Checkpoint {folder.name} does not fit the run config; restore it.")
    _expect_one_process(team)
    read_shards(
        wanted, storage_reader=reader, process_group=team.writers, no_dist=team.writers is None
    )


def folder_of(run: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return run / "checkpoints" / f"step-{step:06d}"


def _step_of(name: str) -> int | None:
    digits = name.removeprefix("step-")
    return int(digits) if digits != name and digits.isdecimal() else None
