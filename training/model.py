"""The model: a PRX denoiser on pixels, a text encoder, and a tokenizer.

Stock diffusers and transformers classes hold the weights, so that a stock pipeline loads them.

Does not see: what it is trained on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from training.config import RunConfig
from training.denoiser import make_denoiser
from training.text import make_encoder

if TYPE_CHECKING:
    from diffusers import PRXTransformer2DModel
    from transformers import PreTrainedTokenizerFast, T5EncoderModel


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is trained and exported together."""

    transformer: "PRXTransformer2DModel"
    text_encoder: "T5EncoderModel"
    tokenizer: "PreTrainedTokenizerFast"

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield every parameter once, with a name that says which part it belongs to."""
        for part, module in (("transformer", self.transformer), ("text", self.text_encoder)):
            for name, parameter in module.named_parameters():
                yield f"{part}.{name}", parameter

    def parameter_count(self) -> int:
        """Return how many numbers are trained."""
        return sum(parameter.numel() for _, parameter in self.named_parameters())

    def encode(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the text as (B, T, C) from token ids (B, T) and their mask (B, T)."""
        text: Tensor = self.text_encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        return text


def build(config: RunConfig, tokenizer: "PreTrainedTokenizerFast") -> Model:
    """Return a fresh model, the same for the same seed."""
    torch.manual_seed(config.seed)
    return Model(
        make_denoiser(config.model, config.text.width),
        make_encoder(config.text, len(tokenizer)),
        tokenizer,
    )
