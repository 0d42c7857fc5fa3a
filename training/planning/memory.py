"""Memory: what a model in training needs of an accelerator, and how many pictures fit beside it.

State is exact, from the count of parameters. What a step keeps for its backward pass is counted
from shapes and held to what torch keeps in `training.model.predict`.

Does not see: fragments, communication buffers, and what teachers keep of a picture.
"""

from dataclasses import dataclass

from training.planning.flops import Shape
from training.planning.interval import Interval

STATE_BYTES = {  # of each parameter: fp32 master weights, bf16 autocast
    "weights": 4,
    "weights in bf16": 2,
    "gradients": 4,
    "optimiser": 8,  # two moments of AdamW
    "moving average": 4,
}
MOMENT_BYTES = 4  # of which Muon keeps one for a matrix within a block
NUMBER_BYTES = Interval(2, 2, 4)  # bf16; autocast leaves some of them fp32
FREE_SHARE = 0.1  # left over for what is not counted: an assumption of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one accelerator must hold, in bytes; `shards` share the state between them.

    `frozen` is what networks that do not learn take; each accelerator has them whole.
    """

    state: float
    image: Interval
    capacity: float
    shards: int = 1
    frozen: float = 0.0

    @property
    def most_images(self) -> int:
        """Return how many pictures surely fit at once beside the state."""
        room = (1 - FREE_SHARE) * self.capacity - self.state / self.shards - self.frozen
        return max(0, int(room // self.image.high))

    @property
    def fits(self) -> bool:
        """Return whether a step on a single picture fits."""
        return self.most_images > 0


def state_bytes(shape: Shape, *, turns: bool = False) -> float:
    """Return the bytes of weights, gradients, optimiser and average, not shared by anybody.

    With `turns`, Muon moves the matrices within the blocks, but for those that modulate.
    """
    spared = MOMENT_BYTES * _turned(shape) if turns else 0
    return float(shape.parameters() * sum(STATE_BYTES.values()) - spared)


def _turned(shape: Shape) -> int:
    """Return how many numbers Muon moves: attention and the gated MLP of every block."""
    width, hidden = shape.width, int(shape.width * shape.mlp_ratio)
    return shape.depth * (6 * width**2 + 3 * width * hidden)


def image_bytes(shape: Shape, *, image_px: int, text_tokens: int) -> Interval:
    """Return what a training step keeps of one picture for its backward pass, in bytes.

    Of each block (20 + 4r) numbers a picture token and channel, 5 a text token and channel, with
    attention that keeps no matrix of weights (counted in `predict`; a test holds it within 15 %).
    """
    whole = shape.patches(image_px)
    dense, routed = shape.depth - shape.routed, shape.routed
    tokens = dense * whole + routed * whole * shape.kept_share
    numbers = shape.width * ((20 + 4 * shape.mlp_ratio) * tokens + 5 * shape.depth * text_tokens)
    return NUMBER_BYTES.times(numbers)
