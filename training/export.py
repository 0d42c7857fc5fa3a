"""Export: a folder that plain diffusers loads as `PRXPixelPipeline`, without the network.

Does not see: the checkpoint. It writes the weights the model holds now, the average once settled.
"""

import shutil
from pathlib import Path

from governance.canon import file_sha256
from training.config import RunConfig
from training.model import Model


def export(model: Model, config: RunConfig, folder: Path) -> dict[str, str]:
    """Write the pipeline folder, replacing what stands there; return SHA-256 by file name.

    Draw with it as `pipeline(prompt, use_resolution_binning=False)`; the stock class takes one
    prompt at a time when guidance is on.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler, PRXPixelPipeline  # noqa: PLC0415  heavy
    from transformers.utils import logging  # noqa: PLC0415  heavy

    pipeline = PRXPixelPipeline(
        transformer=model.transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        default_sample_size=config.image_px,
        prompt_max_tokens=config.text.max_tokens,
        noise_scale=1.0,
    )
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    logging.disable_progress_bar()  # progress is the caller's to draw
    pipeline.save_pretrained(part, safe_serialization=True)
    logging.enable_progress_bar()
    digests = {
        path.relative_to(part).as_posix(): file_sha256(path)
        for path in sorted(part.rglob("*"))
        if path.is_file()
    }
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return digests
