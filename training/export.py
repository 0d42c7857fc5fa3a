"""Export: a folder that plain diffusers loads as `PRXPixelPipeline`, without the network.

The usage policy lies beside the weights, so its digest is among the pipeline's.

Does not see: the checkpoint. It writes the weights the model holds now, the average once settled.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from governance.canon import file_sha256
from governance.errors import UsageError
from governance.records import json_object
from training.config import RunConfig
from training.model import Model
from training.output.policy import write_policy

WEIGHTS_FILE = "transformer/diffusion_pytorch_model.safetensors"
INDEX_FILE = "model_index.json"
CLASS = "PRXPixelPipeline"


def export(model: Model, config: RunConfig, folder: Path) -> dict[str, str]:
    """Write the pipeline folder, replacing what stands there; return SHA-256 by file name.

    Draw with it as `pipeline(prompt, use_resolution_binning=False)`; the stock class takes one
    prompt at a time when guidance is on. A frozen text encoder goes along, whole: whether its
    licence lets it be handed on is for whoever hands on the folder to read.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler, PRXPixelPipeline  # noqa: PLC0415  heavy

    pipeline = PRXPixelPipeline(
        transformer=model.transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=config.objective.time_shift),
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        default_sample_size=config.image_px,
        prompt_max_tokens=config.text.max_tokens,
        noise_scale=1.0,
    )
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with _quiet():
        pipeline.save_pretrained(part, safe_serialization=True)
    write_policy(part)
    digests = {
        path.relative_to(part).as_posix(): file_sha256(path)
        for path in sorted(part.rglob("*"))
        if path.is_file()
    }
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return digests


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What an exported folder holds: the model, and how pictures are drawn with it."""

    model: Model
    image_px: int
    max_tokens: int
    time_shift: float


def load(folder: Path) -> Loaded:
    """Load an exported folder, safetensors only, without the network.

    Raises:
        UsageError: it is no folder that `export` wrote.
    """
    index = folder / INDEX_FILE
    if (
        not index.is_file()
        or json_object(index.read_bytes(), INDEX_FILE).get("_class_name") != CLASS
    ):
        raise UsageError(f"{folder} holds no {CLASS}; name a run, or a folder that a run exported.")
    from diffusers import PRXPixelPipeline  # noqa: PLC0415  heavy

    with _quiet():
        pipeline = PRXPixelPipeline.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
    for part in (pipeline.transformer, pipeline.text_encoder):
        part.requires_grad_(requires_grad=False).eval()
    model = Model(pipeline.transformer, pipeline.text_encoder, pipeline.tokenizer)
    return Loaded(
        model,
        image_px=pipeline.config["default_sample_size"],
        max_tokens=pipeline.config["prompt_max_tokens"],
        time_shift=pipeline.scheduler.config["shift"],
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' bars away: progress is the caller's to draw."""
    from diffusers.utils import logging as diffusers  # noqa: PLC0415  heavy
    from transformers.utils import logging as transformers  # noqa: PLC0415  heavy

    for library in (diffusers, transformers):
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in (diffusers, transformers):
            library.enable_progress_bar()
