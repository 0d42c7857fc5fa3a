"""What a run computes on: the precision of its products, and whether the device has it.

With bf16 the products of the forward pass and of its gradients are rounded to bf16; weights,
optimiser, moving average and losses stay fp32 (stored in bf16, PRX part 2 lost 3.7 FID).

Does not see: how fast it is. At a width of 128 bf16 is slower, even where it is.
"""

import torch

from governance.errors import UsageError
from training.config import RunConfig


def computing(device: str, precision: str) -> torch.autocast:
    """Return a context in which forward passes have a precision.

    It is one thread's: whoever works in another thread enters it there. Casts are not kept, for a
    pass uses each weight once, and threads would share what is kept.
    """
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


def check_bf16(device: str) -> None:
    """Hold a run in bf16 to this machine, before anything is spent. Raises UsageError."""
    if not has_bf16(device):
        raise UsageError(
            f"The run config asks for bf16, and this {device} multiplies it in software, a hundred "
            "times slower than fp32; set precision: fp32."
        )


def has_bf16(device: str) -> bool:
    """Return whether a kind of device multiplies bf16 itself: Ampere and later; AVX512-BF16, AMX.

    Without, a core with AVX2 was measured at 0.72 GFLOP/s in bf16 and 74 in fp32.
    """
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001


def accelerators(config: RunConfig) -> tuple[str, ...]:
    """Return the UUID by which NVML knows the accelerator of this process; none on a CPU."""
    if config.device != "cuda":
        return ()
    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    return (f"GPU-{device.uuid}",)
