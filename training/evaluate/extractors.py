"""Feature extractors: a network with its weights' hash and how pictures are brought to it.

Weights come from a local folder whose hash is pinned, as safetensors; nothing is ever downloaded,
and no code from the folder runs. Where none is named, fixed random convolutions stand in: they
see edges, colours and places, and every line of the scoring runs without any weights.

Does not see: what a picture means, unless the network does. Features of random convolutions say
nothing about how good a picture is; they tell sets of pictures apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from governance.errors import UsageError
from training.config import WeightsConfig
from training.data.cleared import Pixels
from training.evaluate.estimate import Floats
from training.taught.weights import Lens, WeightsFiles, module_digest, weights_folder

SELF, SELF_PX = "self: random convolutions", 32
FINE = 4  # parts of a side that are told apart, where single pictures are held to one another
SELF_CHANNELS = (3, 16, 32, 64)
SELF_KEY = 20260301  # any number does; another is another extractor, with another hash
KERNEL = 3
CHUNK = 64  # pictures in a forward pass
HALVES = (0.5, 0.5, 0.5)
OUTPUTS: Mapping[str, tuple[str, str]] = {  # model type: its class in transformers, its features
    "clip": ("CLIPVisionModelWithProjection", "image_embeds"),
    "clip_vision_model": ("CLIPVisionModelWithProjection", "image_embeds"),
    "siglip": ("SiglipVisionModel", "pooler_output"),
    "siglip_vision_model": ("SiglipVisionModel", "pooler_output"),
    "dinov2": ("Dinov2Model", "pooler_output"),
}


class Extractor(Protocol):
    """What scores need: who looks, with which weights, at what, and the features."""

    @property
    def name(self) -> str:
        """The name of the network."""
        ...

    @property
    def sha256(self) -> str:
        """The hash of its weights."""
        ...

    @property
    def protocol(self) -> str:
        """How pictures are brought to it."""
        ...

    def features(self, pixels: Pixels) -> Floats:
        """Return the features (N, D) of uint8 RGB pictures (N, 3, S, S)."""
        ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModuleExtractor:
    """Any network that takes pictures (B, 3, S, S) and returns features (B, D)."""

    name: str
    sha256: str
    lens: Lens
    network: Callable[[Tensor], Tensor]

    @property
    def protocol(self) -> str:
        """Return how pictures are brought to it."""
        return self.lens.protocol

    @torch.no_grad()
    def features(self, pixels: Pixels) -> Floats:
        """Return the features (N, D) of uint8 RGB pictures (N, 3, S, S)."""
        chunks = [pixels[first : first + CHUNK] for first in range(0, len(pixels), CHUNK)]
        seen = [self.network(self.lens.bring(chunk)).double().numpy() for chunk in chunks]
        return np.concatenate(seen) if seen else np.empty((0, 0))


def open_extractor(weights: WeightsConfig) -> ModuleExtractor:
    """Return the extractor of a run config. Raises UsageError, EvidenceMissing, Tampered."""
    return local(weights_folder(weights), weights.sha256) if weights.name else random_convolutions()


def local(folder: Path, sha256: str) -> ModuleExtractor:
    """Return a CLIP, SigLIP or DINOv2 from a folder in transformers' format.

    Args:
        folder: config.json, preprocessor_config.json and safetensors.
        sha256: what `folder_digest` must find.

    Raises:
        Tampered: the folder is not the one that was pinned.
        EvidenceMissing: a file or a tensor is not there.
        UsageError: it is another kind of model.
    """
    import transformers  # noqa: PLC0415  heavy

    held = WeightsFiles.read(folder, sha256)
    kind = held.kind
    if kind not in OUTPUTS:
        raise UsageError(
            f"{folder.name} is a model of the type {kind!r}; features are read from "
            f"{', '.join(sorted(OUTPUTS))}."
        )
    named, output = OUTPUTS[kind]
    module = held.module(getattr(transformers, named))
    return ModuleExtractor(
        name=f"{kind}: {folder.name}",
        sha256=sha256,
        lens=held.lens,
        network=lambda pictures: getattr(module(pixel_values=pictures), output),
    )


def random_convolutions(parts: int = 1) -> ModuleExtractor:
    """Return three strided convolutions whose weights follow from a number, and their hash.

    Args:
        parts: of each side, over which features are averaged apart: (N, 64 parts^2). One for sets
            of pictures; `FINE` where a single copy must stand out, which a mean over the whole
            picture hides: of 100 scenes remembered with JPEG's losses 15 then lie nearer than any
            of 100 fresh ones, and 95 with four parts.
    """
    layers: list[nn.Module] = []
    raw = np.random.Philox(key=SELF_KEY)  # its raw words never change between versions of NumPy
    for taken, given in pairwise(SELF_CHANNELS):
        layer = nn.Conv2d(taken, given, KERNEL, stride=2, padding=1, bias=False)
        words = raw.random_raw(layer.weight.numel()) >> np.uint64(40)
        levels = words.astype(np.float64) / 2.0**23 - 1.0  # -1..1, exact in single precision
        scale = (6.0 / (taken * KERNEL**2)) ** 0.5  # keeps the variance through a ReLU (He 2015)
        weight = (levels * scale).astype(np.float32).reshape(layer.weight.shape)
        layer.weight.data = torch.from_numpy(weight)
        layers += [layer, nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(parts), nn.Flatten()).requires_grad_(
        requires_grad=False
    )
    lens = Lens(side_px=SELF_PX, mean=HALVES, std=HALVES)
    name = f"{SELF}, {parts} x {parts}"
    return ModuleExtractor(
        name=name, sha256=module_digest(name, network), lens=lens, network=network.eval()
    )
