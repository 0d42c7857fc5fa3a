"""Who teaches our side of `prx.py`: random networks of transformers, as large as PRX's stand-ins.

Does not see: what real teachers would teach; and VGG-16, which transformers does not have.
ConvNeXt-B stands in its place: 15.4 GMAC a picture of 224 px, where VGG-16 has 15.5.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import torch
from prx_batch import Shape
from torch import nn

from training.taught.teachers import Teacher, Teachers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as PRX brings pictures
PDINO_PX = 224  # PRX's resize_resolution
WEIGHTS = {"REPA": 0.5, "LPIPS": 0.1, "PerceptualDINO": 0.005}  # our distance is twice P-DINO's
WIDTHS = {"REPA": 1024, "LPIPS": 1024, "PerceptualDINO": 768}  # of their last features
APART: Mapping[str, str] = {  # where our counterpart of a piece is not the same work
    "EMA": "every step here, every tenth there",
    "LPIPS": "on ConvNeXt-B here, on VGG-16 there: transformers has no VGG",
    "PerceptualDINO": "pictures resized bicubic here, bilinear there",
    "REPA": "our head is as wide as the wider end, theirs as the teacher",
}


def dinov3_large() -> "PreTrainedModel":
    """Return a network as large as DINOv3 ViT-L/16."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel  # noqa: PLC0415  heavy

    return DINOv3ViTModel(
        DINOv3ViTConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            num_register_tokens=4,
            patch_size=16,
        )
    )


def dinov2_base() -> "PreTrainedModel":
    """Return a network as large as DINOv2 ViT-B/14 with registers."""
    from transformers import (  # noqa: PLC0415  heavy
        Dinov2WithRegistersConfig,
        Dinov2WithRegistersModel,
    )

    return Dinov2WithRegistersModel(
        Dinov2WithRegistersConfig(
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            image_size=PDINO_PX,
            patch_size=14,
        )
    )


def convnext_base() -> "PreTrainedModel":
    """Return a network as large as ConvNeXt-B. Source: Liu et al. 2022, arXiv 2201.03545."""
    from transformers import ConvNextConfig, ConvNextModel  # noqa: PLC0415  heavy

    return ConvNextModel(
        ConvNextConfig(hidden_sizes=[128, 256, 512, 1024], depths=[3, 3, 27, 3], num_stages=4)
    )


NETWORKS: Mapping[str, Callable[[], "PreTrainedModel"]] = {
    "REPA": dinov3_large,
    "LPIPS": convnext_base,
    "PerceptualDINO": dinov2_base,
}


def make_teachers(pieces: Collection[str], shape: Shape, device: torch.device) -> Teachers:
    """Return our counterparts of these pieces of PRX, each brought pictures at PRX's size."""
    sides_px = {
        "REPA": shape.px // shape.patch * 16,  # a patch of the teacher for each of the denoiser
        "LPIPS": shape.px // 2,
        "PerceptualDINO": PDINO_PX,
    }
    made = {name: _teacher(name, sides_px[name], device) for name in NETWORKS if name in pieces}
    repa = made.pop("REPA", None)
    return Teachers(
        repa=repa, tap=shape.aligned_block if repa else None, perceptual=tuple(made.values())
    )


def _teacher(name: str, side_px: int, device: torch.device) -> Teacher:
    network = NETWORKS[name]().eval().requires_grad_(requires_grad=False)
    nn.Module.to(network, device)
    mean, std = (torch.tensor(each, device=device)[:, None, None] for each in (MEAN, STD))
    return Teacher(
        network=network,
        side_px=side_px,
        mean=mean,
        std=std,
        weight=WEIGHTS[name],
        width=WIDTHS[name],
    )
