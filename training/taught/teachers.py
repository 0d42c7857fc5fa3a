"""Teachers: frozen networks that look at pictures beside the denoiser, from local folders.

A network of tokens (a ViT) tells the features of its patches at its end; one of maps (a ResNet, a
ConvNeXt) tells its maps at a quarter, a half, three quarters and the end of its depth. Pictures are
resized to the side that the folder names, whatever their shape.

Does not see: what is learnt from them; and whether their licence allows it, which the clearance
says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from torch.nn import functional

from governance.errors import UsageError
from training.config import ObjectiveConfig, TeacherConfig
from training.planning.networks import WITH_GRADIENT
from training.taught.counting import counted
from training.taught.weights import WeightsFiles, weights_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KINDS: Mapping[str, str] = {  # model type: its class in transformers
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "convnext": "ConvNextModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
    "resnet": "ResNetModel",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
}
MAPS = 4  # dimensions of what a network of maps returns
PARTS = 4  # of the depth of a network of maps, each looked at where it ends


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Teacher:
    """A frozen network, how pictures are brought to it, and how much what it says weighs.

    `width` is that of its last features; `flops` are the operations of a look at one picture.
    """

    network: "PreTrainedModel"
    side_px: int
    mean: Tensor
    std: Tensor
    weight: float
    width: int = 0
    flops: float = 0.0

    @classmethod
    def open(cls, config: TeacherConfig, device: str) -> Self:
        """Read a teacher of a run config. Raises UsageError, EvidenceMissing, Tampered."""
        import transformers  # noqa: PLC0415  heavy

        held = WeightsFiles.read(weights_folder(config.weights), config.weights.sha256)
        if held.kind not in KINDS:
            raise UsageError(
                f"{held.name} is a model of the type {held.kind!r}; teachers are "
                f"{', '.join(sorted(KINDS))}."
            )
        lens = held.lens
        teacher = cls(
            network=held.module(getattr(transformers, KINDS[held.kind]), device),
            side_px=lens.side_px,
            mean=torch.tensor(lens.mean, device=device)[:, None, None],
            std=torch.tensor(lens.std, device=device)[:, None, None],
            weight=config.weight,
        )
        return teacher._counted(held.name)

    def maps(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Return features (B, D, h, w) of pictures (B, 3, H, W) in -1..1, the deepest last."""
        side = (self.side_px, self.side_px)
        shown = functional.interpolate((pictures + 1) / 2, side, mode="bicubic", antialias=True)
        seen = self.network(pixel_values=(shown - self.mean) / self.std, output_hidden_states=True)
        if seen.last_hidden_state.ndim == MAPS:
            return tuple(seen.hidden_states[at] for at in _ends(len(seen.hidden_states) - 1))
        patches = self.side_px // int(self.network.config.patch_size)
        tokens = seen.last_hidden_state[:, -(patches**2) :]  # first come class and registers
        return (tokens.mT.unflatten(2, (patches, patches)),)

    def _counted(self, name: str) -> Self:
        """Return the teacher with its width and operations. Raises UsageError if it cannot look."""
        grey = torch.zeros(1, 3, self.side_px, self.side_px, device=self.mean.device)
        try:
            flops = counted(lambda: self.maps(grey))
            with torch.no_grad():
                width = self.maps(grey)[-1].shape[1]
        except (RuntimeError, ValueError):  # another size than its positions are for
            raise UsageError(
                f"{name} does not take pictures of {self.side_px} px, which its preprocessor "
                "names; restore its files."
            ) from None
        return replace(self, width=width, flops=flops)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Teachers:
    """Who teaches a model beside its data: one may align it, any number hold pictures apart."""

    repa: Teacher | None = None
    tap: int | None = None
    perceptual: tuple[Teacher, ...] = ()

    @classmethod
    def open(cls, config: ObjectiveConfig, device: str) -> Self:
        """Read all teachers that are named. Raises UsageError, EvidenceMissing, Tampered."""
        aligns = bool(config.repa.weights.name)
        held_apart = tuple(one for one in config.perceptual if one.weights.name)
        named = (config.repa, *held_apart) if aligns else held_apart
        each_once = {one.weights: one for one in named}
        opened = {weights: Teacher.open(one, device) for weights, one in each_once.items()}
        teachers = tuple(replace(opened[one.weights], weight=one.weight) for one in named)
        if not aligns:
            return cls(perceptual=teachers)
        return cls(repa=teachers[0], tap=config.repa.block, perceptual=teachers[1:])

    @property
    def flops(self) -> float:
        """Return the operations that all of them add to training on one picture, aligned."""
        return self.flops_of(aligned=True)

    def flops_of(self, *, aligned: bool) -> float:
        """Return the same, of a stage in which tokens are held to a teacher's, or are not."""
        looks = sum(WITH_GRADIENT * teacher.flops for teacher in self.perceptual)
        return looks + (self.repa.flops if self.repa and aligned else 0.0)


def _ends(layers: int) -> tuple[int, ...]:
    """Return the layers, counted from 1, at which each part of the depth ends."""
    return tuple(sorted({-(-layers * part // PARTS) for part in range(1, PARTS + 1)}))
