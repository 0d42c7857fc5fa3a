"""Weights of others' networks: a local folder, its pinned digest, and how pictures are brought.

The format is that of transformers: config.json, preprocessor_config.json, safetensors. A network is
built from the very bytes that were hashed. Nothing is downloaded, and no code from a folder runs.

Does not see: whether the licence of the weights allows this use.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256 as hashed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from torch import Tensor, nn

from governance.canon import digest, file_sha256, parse_json
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.records import as_object
from training.config import WeightsConfig
from training.data.cleared import Pixels

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLACE = "PRAMANA_WEIGHTS"  # the environment's name for the folder in which folders of weights lie
CONFIG, PREPROCESSOR, TENSORS = "config.json", "preprocessor_config.json", ".safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """How pictures are brought to a network: size, then channels less `mean` over `std`."""

    side_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def read(cls, name: str, data: bytes | None) -> Self:
        """Read the lens of a folder in transformers' format. Raises EvidenceMissing."""
        if data is None:
            raise EvidenceMissing(f"{name} has no {PREPROCESSOR}; add the one it came with.")
        said = as_object(parse_json(data), PREPROCESSOR)
        size = said.get("crop_size", said.get("size"))
        side = size.get("height", size.get("shortest_edge")) if isinstance(size, dict) else size
        mean, std = said.get("image_mean"), said.get("image_std")
        if not isinstance(side, int) or not isinstance(mean, list) or not isinstance(std, list):
            raise EvidenceMissing(
                f"{PREPROCESSOR} of {name} does not say size, image_mean and image_std; "
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
    path = folder / CONFIG
    config = path.read_bytes() if path.is_file() else None
    return _kind(folder.name, config, folder_digest(folder), sha256)


def _kind(name: str, config: bytes | None, found: str, sha256: str) -> str:
    if config is None:
        raise EvidenceMissing(f"There is no model {name} with a {CONFIG}; put it there.")
    if found != sha256:
        raise Tampered(
            f"The weights {name} hash to {found[:12]}, and {sha256[:12]} was pinned; "
            "restore them, or pin what you trust."
        )
    return str(as_object(parse_json(config), CONFIG).get("model_type"))


@dataclass(frozen=True, slots=True, eq=False)
class WeightsFiles:
    """The files of a folder, as the bytes whose digest is the one pinned."""

    name: str
    kind: str
    files: Mapping[str, bytes]

    @classmethod
    def read(cls, folder: Path, sha256: str) -> Self:
        """Read a folder once. Raises EvidenceMissing, Tampered as `model_kind` does."""
        files = {name: path.read_bytes() for name, path in _files(folder)}
        return cls(
            folder.name, _kind(folder.name, files.get(CONFIG), _digest(files), sha256), files
        )

    @property
    def lens(self) -> Lens:
        """Return how pictures are brought to the network. Raises EvidenceMissing."""
        return Lens.read(self.name, self.files.get(PREPROCESSOR))

    def module(self, kind: type, device: str = "cpu", **changes: bool) -> "PreTrainedModel":
        """Return a frozen model of transformers in fp32. Raises EvidenceMissing if a tensor is not.

        A tensor that is missing would be drawn at random, and what is said by it.

        Args:
            kind: its class.
            device: where it is put.
            **changes: settings of its config that are to be others.
        """
        with self.unpacked() as folder, _quiet():
            config = kind.config_class.from_pretrained(folder, local_files_only=True)  # type: ignore[attr-defined]  # of transformers, untyped
            for name, value in changes.items():
                setattr(config, name, value)
            try:
                module, told = kind.from_pretrained(  # type: ignore[attr-defined]
                    None,
                    config=config,
                    state_dict=self._tensors(),
                    dtype=torch.float32,
                    output_loading_info=True,
                )
            except (RuntimeError, SafetensorError):  # other bytes; tensors of other shapes
                raise self._unfit() from None
        if told["missing_keys"]:
            raise EvidenceMissing(
                f"{self.name} lacks {len(told['missing_keys'])} tensors of its network; restore it."
            )
        loaded: PreTrainedModel = module.eval().requires_grad_(requires_grad=False)
        nn.Module.to(loaded, device)
        return loaded

    @contextmanager
    def unpacked(self) -> Iterator[Path]:
        """Yield a folder of all files but tensors, for what reads nothing else: tokenizers."""
        with TemporaryDirectory() as place:
            for name, data in self.files.items():
                if not name.endswith(TENSORS):
                    path = Path(place) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
            yield Path(place)

    def _tensors(self) -> dict[str, Tensor]:
        index = self.files.get(f"model{TENSORS}.index.json")
        names = {f"model{TENSORS}"}
        if index:
            said = as_object(parse_json(index), "the index of the weights")
            names = set(map(str, as_object(said.get("weight_map"), "its map").values()))
        if not names <= self.files.keys():
            raise self._unfit()
        return {k: t for name in sorted(names) for k, t in read_tensors(self.files[name]).items()}

    def _unfit(self) -> EvidenceMissing:
        return EvidenceMissing(f"{self.name} has no safetensors that fit its config; restore them.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers still: it reports the text half of a CLIP as left over."""
    from transformers.utils import logging  # noqa: PLC0415  heavy

    said = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.enable_progress_bar()
        logging.set_verbosity(said)


def folder_digest(folder: Path) -> str:
    """Return the digest of a folder's files by name: one more file is another folder."""
    return digest({name: file_sha256(path) for name, path in _files(folder)})


def _files(folder: Path) -> list[tuple[str, Path]]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), path) for path in found]


def _digest(files: Mapping[str, bytes]) -> str:
    return digest({name: hashed(data).hexdigest() for name, data in files.items()})


def module_digest(name: str, module: nn.Module) -> str:
    """Return the digest of a network's name, which tells its layers, and its tensors by name."""
    tensors = sorted(module.state_dict().items())
    parts = {part: hashed(held.numpy().tobytes()).hexdigest() for part, held in tensors}
    return digest({"network": name, **parts})
