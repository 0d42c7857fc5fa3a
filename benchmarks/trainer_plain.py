"""The peer of `trainer.py`: a training loop as one is written with diffusers and accelerate.

accelerate places model and batches on the device, and does its mixed precision. On an accelerator
it adds up gradients over as many parts of a batch as the config has, for the same memory.

Does not see: teachers, routes and stages of a config; and what a loop by their authors would do
better. Its threads are chosen by who drives it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.config import RunConfig
from training.data.samples import ClearedSamples
from training.state import Training
from training.text.tokens import Tokens

if TYPE_CHECKING:
    from torch.utils.data import DataLoader


@dataclass(slots=True, eq=False, kw_only=True)
class Plain:
    """A loop as one is written with diffusers and accelerate: DataLoader, AdamW, EMAModel."""

    config: RunConfig
    training: Training  # its weights and tokenizer alone
    samples: ClearedSamples
    threads: int = 1
    compiled: bool = False
    losses: list[float] = field(default_factory=list)
    averages: list[Tensor] = field(default_factory=list)
    steps: Iterator[float] = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the loop."""
        self.steps = self._loop()

    def slice(self, seconds: float) -> int:
        """Train for some seconds; return the steps."""
        began = len(self.losses)
        end_at = time.perf_counter() + seconds
        while time.perf_counter() < end_at:
            self.losses.append(next(self.steps))
        return len(self.losses) - began

    def _batches(self) -> "DataLoader[tuple[Tensor, ...]]":
        from torch.utils.data import DataLoader, TensorDataset  # noqa: PLC0415  heavy

        model, config = self.training.model, self.config
        tokens = Tokens.of(self.samples.captions, model.tokenizer, config.text.max_tokens)
        longest = int(tokens.mask.sum(dim=1).max())  # padded no further: kind to the peer
        data = TensorDataset(
            torch.from_numpy(self.samples.pixels), tokens.ids[:, :longest], tokens.mask[:, :longest]
        )
        return DataLoader(data, config.batch_size // self.parts, shuffle=True, drop_last=True)

    @property
    def parts(self) -> int:
        """Return over how many batches of the loader a step adds up."""
        return 1 if self.config.device == "cpu" else self.config.parts

    def _loop(self) -> Iterator[float]:
        """Yield the loss of each step."""
        from accelerate import Accelerator  # noqa: PLC0415  heavy
        from diffusers.training_utils import EMAModel  # noqa: PLC0415  heavy

        config, model = self.config, self.training.model
        parts = nn.ModuleList([model.transformer, model.text_encoder])
        text = {"params": model.text_encoder.parameters()}
        optimiser = torch.optim.AdamW(
            [
                {"params": model.transformer.parameters()},
                {**text, "lr": config.optimiser.lr * config.optimiser.text_lr_share},
            ],
            lr=config.optimiser.lr,
            betas=(config.optimiser.beta1, config.optimiser.beta2),
            weight_decay=config.optimiser.weight_decay,
        )
        accelerator = Accelerator(
            cpu=config.device == "cpu",
            mixed_precision="bf16" if config.precision == "bf16" else "no",
            gradient_accumulation_steps=self.parts,
        )
        parts, optimiser, batches = accelerator.prepare(parts, optimiser, self._batches())
        ema = EMAModel(parts.parameters(), decay=config.optimiser.ema_decay)
        self.averages = ema.shadow_params
        if self.compiled:
            cast("nn.Module", model.transformer).compile()
        while True:
            for batch in batches:
                with accelerator.accumulate(parts):
                    with accelerator.autocast():
                        loss = self._loss(*batch)
                    accelerator.backward(loss)
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(parts.parameters(), config.optimiser.clip_norm)
                    optimiser.step()
                    optimiser.zero_grad()
                if accelerator.sync_gradients:
                    ema.step(parts.parameters())
                    yield loss.item()

    def _loss(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Return our objective, as it is written from its formula."""
        config, model, count = self.config.objective, self.training.model, len(pixels)
        here = pixels.device
        clean = pixels.float() / 127.5 - 1
        times = torch.sigmoid(config.time_mean + config.time_std * torch.randn(count, device=here))
        share = times.view(-1, 1, 1, 1)
        noisy = (1 - share) * clean + share * torch.randn_like(clean)
        kept = torch.rand(count, 1, device=here) >= config.caption_drop_share
        ids, mask = ids * kept, mask & kept
        words = model.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        seen = model.transformer(noisy, times, words, mask).sample
        errors = functional.mse_loss(seen.float(), clean, reduction="none").mean(dim=(1, 2, 3))
        return (errors / times.clamp(min=config.time_floor) ** 2).mean()
