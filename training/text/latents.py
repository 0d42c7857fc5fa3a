"""Latents: what a frozen text encoder says of every caption, worked out once before training.

States of each different caption lie one after the other at their true length in a file of the run's
folder, which is mapped into memory. A run that comes back takes the file if it is what it wrote.

Does not see: whether working them out pays; `choice` says that from counted operations.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from governance.canon import Json, canonical, file_sha256, sha256, whole_file, write_whole
from governance.errors import UsageError
from governance.records import json_object
from training.config import RunConfig
from training.model import Model
from training.planning.flops import train_flops
from training.planning.networks import WORTH_SHARE
from training.records.record import Bars
from training.taught.counting import counted
from training.text.encoder import encode
from training.text.tokens import Tokens

Kept: TypeAlias = Literal["online", "cached"]
ROOM = 2.0  # times the file that must be free on the disk: checkpoints come beside it
AT_ONCE = 64  # captions in a forward pass
STATES_FILE, INDEX_FILE, CHOICE_FILE = "states.bin", "states.json", "latents.json"


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """States of the different captions, one after the other (all tokens, C), and which is whose.

    `begins` (D + 1,) says where each caption's begin, `which` (N,) which caption a sample has.
    """

    states: Tensor
    begins: Tensor
    which: Tensor
    untold: Tensor

    def rows(self, places: Sequence[int], longest: int) -> Tensor:
        """Return the states of some samples (B, T, C) in fp32, zeros where a caption is shorter."""
        padded = torch.zeros(len(places), longest, self.states.shape[1])
        for row, caption in enumerate(self.which[list(places)].tolist()):
            states = self.states[self.begins[caption] : self.begins[caption + 1]]
            padded[row, : len(states)] = states
        return padded


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Whether states are kept, and why: the encoder's share of a step, bytes needed and free."""

    kept: Kept
    asked: str
    encoder_share: float
    needed_bytes: int
    free_bytes: int


def choice(config: RunConfig, model: Model, tokens: Tokens, folder: Path) -> Choice:
    """Return whether states are kept before training, as the config or the planned cost says.

    Raises:
        UsageError: they are asked for, and there is no room for them.
    """
    words = max(1, int(tokens.mask.sum(dim=1).max()))
    taught = train_flops(config, words) + model.teachers.flops
    share = _encoder_flops(model, words) / taught
    needed = int(tokens.mask.sum()) * config.text.width * _dtype(config).itemsize
    free = shutil.disk_usage(folder).free
    asked, roomy = config.text.latents, free > ROOM * needed
    if asked == "cached" and not roomy:
        raise UsageError(
            f"Cached states need {needed:,} bytes twice over, and {free:,} are free; make room, or "
            "set text.latents to online."
        )
    pays = asked == "cached" or (asked == "planned" and share > WORTH_SHARE and roomy)
    return Choice(
        kept="cached" if pays else "online",
        asked=asked,
        encoder_share=share,
        needed_bytes=needed,
        free_bytes=free,
    )


def prepared(
    config: RunConfig, model: Model, tokens: Tokens, *, folder: Path, bars: Bars
) -> Tokens:
    """Return captions as training reads them: with their states, where those are to be kept.

    What was chosen, and why, is written beside. Raises UsageError as `choice` does.
    """
    if model.text_trained:
        return tokens
    chosen = choice(config, model, tokens, folder)
    write_whole(folder / CHOICE_FILE, canonical(asdict(chosen)))
    if chosen.kept == "online":
        return tokens
    return replace(tokens, latents=_kept(config, model, tokens, folder=folder, bars=bars))


def _kept(config: RunConfig, model: Model, tokens: Tokens, *, folder: Path, bars: Bars) -> Latents:
    """Return the states of all captions and of the empty prompt: what is kept, or worked out."""
    untold = torch.full((1, tokens.ids.shape[1]), -1)
    untold[0, : len(tokens.untold)] = torch.tensor(tokens.untold, dtype=untold.dtype)
    told = torch.cat((tokens.ids.masked_fill(~tokens.mask, -1), untold)).numpy()
    captions, which = map(torch.from_numpy, np.unique(told, axis=0, return_inverse=True))
    lengths = (captions >= 0).sum(dim=1)
    begins = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
    key = {
        "captions": sha256(captions.numpy().tobytes()),
        "encoder": config.text.encoder.sha256,
        "dtype": str(_dtype(config)),
    }
    path, index = folder / STATES_FILE, folder / INDEX_FILE
    if not _stands(path, index, key):
        _work_out(model, captions, path, dtype=_dtype(config), bars=bars)
        write_whole(index, canonical({**key, "states": file_sha256(path)}))
    count, width = int(begins[-1]), config.text.width
    flat = torch.from_file(str(path), size=count * width, dtype=_dtype(config))
    states = flat.view(count, width)
    nothing = states[begins[which[-1]] : begins[which[-1] + 1]].float()
    return Latents(states, begins, which[:-1], nothing)


def _stands(path: Path, index: Path, key: Mapping[str, Json]) -> bool:
    """Return whether the states that lie there are those of these captions, byte for byte."""
    if not path.is_file() or not index.is_file():
        return False
    return json_object(index.read_bytes(), index.name) == {**key, "states": file_sha256(path)}


def _work_out(
    model: Model, captions: Tensor, path: Path, *, dtype: torch.dtype, bars: Bars
) -> None:
    bar = bars("encoding captions", len(captions))
    with whole_file(path) as stream:
        for first in range(0, len(captions), AT_ONCE):
            ids = captions[first : first + AT_ONCE]
            mask = ids >= 0
            longest = max(1, int(mask.sum(dim=1).max()))
            seen = encode(model.text_encoder, ids.clamp(min=0)[:, :longest], mask[:, :longest])
            states = seen[mask[:, :longest].to(seen.device)].to(dtype).cpu()
            stream.write(states.view(torch.uint8).numpy().tobytes())
            bar(len(ids))


def _dtype(config: RunConfig) -> torch.dtype:
    return torch.bfloat16 if config.precision == "bf16" else torch.float32


def _encoder_flops(model: Model, words: int) -> float:
    """Return the operations of reading one caption of so many words."""
    ids = torch.zeros(1, words, dtype=torch.long)
    mask = torch.ones_like(ids, dtype=torch.bool)
    return counted(lambda: encode(model.text_encoder, ids, mask))
