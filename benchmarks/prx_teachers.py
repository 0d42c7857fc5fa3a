"""Stand-ins for the networks that PRX downloads to teach with: as large, and random.

A loss against them means nothing; a step with them takes as long. VGG-16 behind LPIPS, and the
DINO transformers, whose position embeddings (under a hundredth of the work) are left out.

Does not see: what real teachers would teach.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

import torch
from composer_stub import module_of
from torch import Tensor, nn
from torch.nn import functional

VGG_16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
REGISTERS = 5  # one class token, four registers


@dataclass(frozen=True, slots=True)
class Size:
    """A vision transformer's."""

    width: int
    depth: int
    heads: int
    patch_px: int


DINO = {  # Source: the model tables of facebookresearch/dinov2 and dinov3
    "dinov2_vitb14_reg": Size(768, 12, 12, 14),
    "dinov2_vitl14_reg": Size(1024, 24, 16, 14),
    "dinov3_vitl16": Size(1024, 24, 16, 16),
}


class Dino(nn.Module):
    """A transformer over patches that answers as the ones on the hub do."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embed_dim = size.width
        self.patches = nn.Conv2d(3, size.width, size.patch_px, stride=size.patch_px)
        self.first = nn.Parameter(torch.randn(1, REGISTERS, size.width) / 50)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size.width,
                size.heads,
                4 * size.width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(size.depth)
        )
        self.norm = nn.LayerNorm(size.width)

    def forward_features(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the features of patches (B, N, C) of pictures (B, 3, H, W)."""
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.first.expand(len(tokens), -1, -1), tokens), dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return {"x_norm_patchtokens": self.norm(tokens)[:, REGISTERS:]}


class Lpips(nn.Module):
    """A distance over five depths of a VGG-16. Source: Zhang et al. 2018, arXiv 1801.03924."""

    def __init__(self, net: str = "vgg") -> None:
        super().__init__()
        if net != "vgg":
            raise ValueError(f"Only the size of vgg stands in here, not {net!r}.")
        entering = (3, *(channels for channels, _ in VGG_16[:-1]))
        self.stages = nn.ModuleList(
            _stage(before, channels, count)
            for before, (channels, count) in zip(entering, VGG_16, strict=True)
        )
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width, _ in VGG_16)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance (B, 1, 1, 1) between pictures (B, 3, H, W)."""
        total: Tensor | float = 0.0
        for number, (stage, head) in enumerate(zip(self.stages, self.heads, strict=True)):
            if number:
                first, second = (functional.max_pool2d(seen, 2) for seen in (first, second))
            first, second = stage(first), stage(second)
            apart = (functional.normalize(first) - functional.normalize(second)).square()
            total = total + head(apart).mean(dim=(2, 3), keepdim=True)
        return torch.as_tensor(total)


def _stage(before: int, channels: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(count):
        layers += [nn.Conv2d(channels if number else before, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def _normalise(pictures: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    shift, scale = (pictures.new_tensor(each)[:, None, None] for each in (mean, std))
    return (pictures - shift) / scale


def modules() -> dict[str, ModuleType]:
    """Return lpips, always, since its weights are not here; and torchvision where there is none."""
    given = {"lpips": module_of("lpips", LPIPS=Lpips)}
    if find_spec("torchvision") is None:
        inner = module_of("torchvision.transforms.functional", normalize=_normalise)
        newer = module_of("torchvision.transforms.v2")  # of PRX's data set, which is not used
        middle = module_of("torchvision.transforms", functional=inner, v2=newer)
        outer = module_of("torchvision", transforms=middle, tv_tensors=module_of("tv_tensors"))
        given |= {module.__name__: module for module in (outer, middle, inner, newer)}
    return given


@contextmanager
def hub() -> Iterator[None]:
    """Answer `torch.hub.load` with a random network of the size asked for, until the block ends."""

    def load(repository: str, model: str) -> Dino:
        del repository
        return Dino(DINO[model])

    before = torch.hub.load
    setattr(torch.hub, "load", load)  # noqa: B010  it has another signature
    try:
        yield
    finally:
        torch.hub.load = before
