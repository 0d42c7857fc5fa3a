"""Counting: the operations that torch does in a look, for networks whose shapes are not ours.

Does not see: how long they take.
"""

from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def counted(look: Callable[[], object]) -> float:
    """Return the operations of a look, done once; attention is spelled out, or is not counted."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        look()
    return float(counter.get_total_flops())
