"""Networks of others that presets name, by what a plan needs of them before anybody has them.

Operations of one look at a picture, or of one token of text, and the count of parameters: from
their papers' shapes. A run counts the operations of what it really loads.

Does not see: networks that are not listed. A plan names those as unknown and counts them as free.
"""

from dataclasses import dataclass

LOADED_BYTES = 4  # of a parameter as loaded: fp32
WITH_GRADIENT = 3  # passes of a perceptual loss: clean, drawn, and back through the drawn one
WORTH_SHARE = 0.1  # of a step's operations, above which text is encoded once, before training


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """`flops` of a look at one picture, or of one token of text, forward."""

    parameters: float
    flops: float
    source: str

    @property
    def bytes(self) -> float:
        """Return what its weights take."""
        return LOADED_BYTES * self.parameters


def vit_flops(*, width: int, depth: int, tokens: int) -> float:
    """Return the operations of a plain ViT with an MLP four times as wide, for one picture.

    24 d² a token and block in products, 4 N d in attention (Vaswani et al. 2017, table 1).
    """
    return float(depth * tokens * (24 * width**2 + 4 * tokens * width))


NETWORKS = {
    "dinov3-vitl16-pretrain-lvd1689m": Network(
        parameters=303e6,
        flops=vit_flops(width=1024, depth=24, tokens=14**2 + 5),
        source="DINOv3, arXiv 2508.10104: ViT-L/16 at 224 px, four registers",
    ),
    "dinov2-with-registers-base": Network(
        parameters=86.6e6,
        flops=vit_flops(width=768, depth=12, tokens=16**2 + 5),
        source="DINOv2 with registers, arXiv 2309.16588: ViT-B/14 at 224 px, four registers",
    ),
    "resnet-50": Network(
        parameters=23.5e6,
        flops=2 * 4.1e9,
        source="ResNet-50 at 224 px without its head, arXiv 1512.03385, strides as in v1.5",
    ),
    "t5gemma-2b-2b-ul2": Network(
        parameters=2.61e9,
        flops=2 * 2.02e9,
        source="the encoder of T5Gemma, arXiv 2504.06225, of Gemma 2's shape (arXiv 2408.00118)",
    ),
}
