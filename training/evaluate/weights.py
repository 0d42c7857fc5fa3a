"""Weights of networks that judge: a local folder, its pinned digest, and how pictures are brought.

The format is that of transformers: config.json, preprocessor_config.json, safetensors. Nothing is
downloaded, and no code from the folder runs.

Does not see: whether the licence of the weights allows this use.
"""

import os
from dataclasses import dataclass
from hashlib import sha256 as hashed
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from governance.canon import digest, file_sha256, parse_json
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.records import as_object
from training.config import WeightsConfig
from training.data import Pixels

PLACE = "PRAMANA_WEIGHTS"  # the environment's name for the folder in which folders of weights lie
PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """How pictures are brought to a network: size, then channels less `mean` over `std`."""

    side_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read the lens of a folder in transformers' format. Raises EvidenceMissing."""
        path = folder / PREPROCESSOR
        if not path.is_file():
            raise EvidenceMissing(f"{folder.name} has no {PREPROCESSOR}; add the one it came with.")
        said = as_object(parse_json(path.read_bytes()), PREPROCESSOR)
        size = said.get("crop_size", said.get("size"))
        side = size.get("height", size.get("shortest_edge")) if isinstance(size, dict) else size
        mean, std = said.get("image_mean"), said.get("image_std")
        if not isinstance(side, int) or not isinstance(mean, list) or not isinstance(std, list):
            raise EvidenceMissing(
                f"{PREPROCESSOR} of {folder.name} does not say size, image_mean and image_std; "
                "restore the one it came with."
            )
        return cls(side_px=side, mean=tuple(map(float, mean)), std=tuple(map(float, std)))

    @property
    def protocol(self) -> str:
        """Return the lens in words; scores under different words are not compared."""
        mean, std = (" ".join(f"{part:g}" for part in side) for side in (self.mean, self.std))
        return f"{self.side_px} px, Pillow bicubic, mean {mean}, std {std}"

    def bring(self, pixels: Pixels) -> Tensor:
        """Return uint8 pictures (N, 3, S, S) as the network takes them, in floats."""
        sized = pixels if pixels.shape[-1] == self.side_px else self._resized(pixels)
        levels = torch.from_numpy(np.ascontiguousarray(sized)).float() / 255.0
        mean, std = (torch.tensor(side)[:, None, None] for side in (self.mean, self.std))
        return (levels - mean) / std

    def _resized(self, pixels: Pixels) -> Pixels:
        side = (self.side_px, self.side_px)
        resized = [
            np.asarray(Image.fromarray(one).resize(side, Image.Resampling.BICUBIC))
            for one in np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
        ]
        return np.stack(resized).transpose(0, 3, 1, 2)


def weights_folder(weights: WeightsConfig) -> Path:
    """Return where named weights lie. Raises UsageError where nobody said, or the name strays."""
    place = os.environ.get(PLACE)
    if not place:
        raise UsageError(
            f"The weights {weights.name} are asked for, and {PLACE} does not say in which folder "
            "they lie; set it."
        )
    if Path(weights.name).name != weights.name:
        raise UsageError(f"{weights.name!r} is no name of a folder; name one inside {PLACE}.")
    return Path(place) / weights.name


def model_kind(folder: Path, sha256: str) -> str:
    """Return the model type of a folder, once its hash is the one pinned.

    Raises:
        EvidenceMissing: there is no such folder, or no config in it.
        Tampered: it holds other bytes.
    """
    if not (folder / "config.json").is_file():
        raise EvidenceMissing(f"There is no model {folder.name} with a config.json; put it there.")
    found = folder_digest(folder)
    if found != sha256:
        raise Tampered(
            f"The weights {folder.name} hash to {found[:12]}, and {sha256[:12]} was pinned; "
            "restore them, or pin what you trust."
        )
    said = as_object(parse_json((folder / "config.json").read_bytes()), "config.json")
    return str(said.get("model_type"))


def load_module(kind: type, folder: Path) -> nn.Module:
    """Return a model of transformers from safetensors. Raises EvidenceMissing if a tensor is not.

    A tensor that is missing would be drawn at random, and the scores with it.
    """
    from transformers.utils import logging  # noqa: PLC0415  heavy

    logging.disable_progress_bar()
    said = logging.get_verbosity()
    logging.set_verbosity_error()  # it reports the text half of a CLIP as left over
    try:
        module, told = kind.from_pretrained(  # type: ignore[attr-defined]  # of transformers, untyped
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, RuntimeError):  # no file; tensors of other shapes
        raise EvidenceMissing(
            f"{folder.name} has no safetensors that fit its config; restore them."
        ) from None
    finally:
        logging.enable_progress_bar()
        logging.set_verbosity(said)
    if told["missing_keys"]:
        raise EvidenceMissing(
            f"{folder.name} lacks {len(told['missing_keys'])} tensors of its network; restore it."
        )
    loaded: nn.Module = module.eval().requires_grad_(requires_grad=False)
    return loaded


def folder_digest(folder: Path) -> str:
    """Return the digest of a folder's files by name: one more file is another folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest({path.relative_to(folder).as_posix(): file_sha256(path) for path in files})


def module_digest(name: str, module: nn.Module) -> str:
    """Return the digest of a network's name, which tells its layers, and its tensors by name."""
    tensors = sorted(module.state_dict().items())
    parts = {part: hashed(held.numpy().tobytes()).hexdigest() for part, held in tensors}
    return digest({"network": name, **parts})
