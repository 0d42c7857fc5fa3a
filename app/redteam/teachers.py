"""Attacks through weights of others: networks that would teach a model what nobody cleared.

Does not see: a licence that was declared wrongly. What is declared is the operator's word.
"""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.redteam.attack import Attack, Victim
from app.redteam.forged import flip
from app.redteam.gate import BOUND, issued
from app.redteam.scratch import Scratch, terms, tiny
from governance.errors import Refused, Tampered
from governance.workspace import CONFIG_FILE

if TYPE_CHECKING:
    from training.config import RunConfig

LICENSED: Final = "no weights teach a model but those of a declared licence that the policies allow"
TENSORS: Final = "model.safetensors"


def _folder(scratch: Scratch) -> Path:
    """Return where the weights of a copy lie: beside it, as `elsewhere` says, under its name."""
    return scratch.folder.parent / "weights" / scratch.folder.name


def _taught(scratch: Scratch) -> "RunConfig":
    """Put a small encoder there, and return the tiny run with it as its text encoder."""
    from safetensors.torch import save_model  # noqa: PLC0415  heavy

    from training.config import WeightsConfig  # noqa: PLC0415  heavy
    from training.taught.weights import folder_digest  # noqa: PLC0415  heavy
    from training.text.tokens import load_tokenizer, make_encoder, make_tokenizer  # noqa: PLC0415  heavy

    folder, config = _folder(scratch), tiny()
    encoder = make_encoder(config.text, config.text.vocabulary)
    encoder.config.save_pretrained(folder)
    save_model(encoder, str(folder / TENSORS))
    words = make_tokenizer(["a red circle"], config.text.vocabulary)
    load_tokenizer(words).save_pretrained(folder)
    encoder = WeightsConfig(name=folder.name, sha256=folder_digest(folder))
    return replace(config, text=replace(config.text, encoder=encoder))


def _declare(scratch: Scratch, config: "RunConfig", licence: str) -> None:
    weights = config.text.encoder
    said = {"name": weights.name, "sha256": weights.sha256, "licence": licence}
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    path = scratch.workspace.folder / CONFIG_FILE
    table = "\n".join(("[[weights]]", *lines, 'source = "https://example.org/weights"'))
    path.write_text(f"{path.read_text()}\n{table}\n")


def _swapped(scratch: Scratch) -> Victim:
    """Change one bit of the weights once the gate has signed for their digest."""
    config = _taught(scratch)
    _declare(scratch, config, "Apache-2.0")
    envelope = scratch.ask(config)
    flip(_folder(scratch) / TENSORS, at=-4)
    return partial(scratch.train, envelope, config=config)


def _unnamed(scratch: Scratch) -> Victim:
    """Sign with the stolen gate key for a run config, without the weights that it names."""
    config = _taught(scratch)
    silent = replace(terms(config), weights=())
    return partial(scratch.train, issued(scratch, silent, told=True), config=config)


def _undeclared(scratch: Scratch) -> Victim:
    return partial(scratch.ask, _taught(scratch))


def _forbidden(scratch: Scratch) -> Victim:
    config = _taught(scratch)
    _declare(scratch, config, "CC-BY-NC-4.0")
    return partial(scratch.ask, config)


_unlicensed = partial(Attack, threat="teacher without a licence", holds=LICENSED, error=Refused)

ATTACKS: Final = (
    Attack(
        name="a teacher's folder is swapped after it was cleared",
        threat="plugin or detector weights changed", holds=BOUND, act=_swapped, error=Tampered,
        check="was pinned",
    ),
    _unlicensed(
        name="a run config names weights that its clearance does not", act=_unnamed,
        check="clearance (9)",
    ),
    _unlicensed(
        name="a teacher is named whose licence nobody declared", act=_undeclared,
        check="declares no licence",
    ),
    _unlicensed(
        name="a teacher's licence forbids what is done", act=_forbidden,
        check="COM-WEIGHTS-FORBIDDEN",
    ),
)  # fmt: skip
