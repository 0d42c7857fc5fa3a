"""The model: a PRX denoiser on pixels, a text encoder, and a tokenizer; and who teaches it.

Stock diffusers and transformers classes hold the weights, so that a stock pipeline loads them. The
text encoder is small and trained jointly, or a named one that stays as it is.

Does not see: what it is trained on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from governance.errors import UsageError
from training.compute import computing
from training.config import RunConfig, TextConfig
from training.denoiser import make_denoiser
from training.taught.alignment import HEAD, make_head
from training.taught.teachers import Teachers
from training.text.encoder import encode, open_encoder
from training.text.tokens import make_encoder

if TYPE_CHECKING:
    from diffusers import PRXTransformer2DModel
    from transformers import PreTrainedModel, PreTrainedTokenizerFast, T5EncoderModel


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is trained and exported together, and frozen teachers.

    `heads` are trained as well, to be held to teachers, and never exported.
    """

    transformer: "PRXTransformer2DModel"
    text_encoder: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    text_trained: bool = True
    heads: nn.ModuleDict | None = None
    teachers: Teachers = field(default_factory=Teachers)
    precision: str = "fp32"

    def computing(self) -> torch.autocast:
        """Return a context in which forward passes have the run's precision, for one thread."""
        return computing(self.transformer.device.type, self.precision)

    @property
    def trained(self) -> dict[str, nn.Module]:
        """Return the parts that are trained, by how the names of their parameters begin."""
        parts: dict[str, nn.Module] = {"transformer": self.transformer}
        if self.text_trained:
            parts["text"] = self.text_encoder
        if self.heads is not None:
            parts["heads"] = self.heads
        return parts

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield every trained parameter once, with a name that says which part it belongs to."""
        for part, module in self.trained.items():
            for name, parameter in module.named_parameters():
                yield f"{part}.{name}", parameter

    def parameter_count(self) -> int:
        """Return how many numbers are trained."""
        return sum(parameter.numel() for _, parameter in self.named_parameters())

    def encode(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the text as (B, T, C) from token ids (B, T) and their mask (B, T)."""
        if not self.text_trained:
            return encode(self.text_encoder, tokens, mask)
        text: Tensor = self.text_encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        return text


def build(config: RunConfig, tokenizer: "PreTrainedTokenizerFast | None") -> Model:
    """Return a fresh model, the same for the same seed.

    A named text encoder brings its own tokenizer, and none that is given counts.

    Raises:
        EvidenceMissing, Tampered, UsageError: weights that are named are not those pinned, or
            there is no tokenizer.
    """
    teachers = Teachers.open(config.objective, config.device)
    named = open_encoder(config.text, config.device) if config.text.encoder.name else None
    torch.manual_seed(config.seed)
    transformer = make_denoiser(config.model, config.text.width)
    encoder, words = named or _own_encoder(config.text, tokenizer)
    heads = None
    if teachers.repa:
        heads = nn.ModuleDict({HEAD: make_head(config.model.width, teachers.repa.width)})
    return Model(
        transformer,
        encoder,
        words,
        text_trained=named is None,
        heads=heads,
        teachers=teachers,
        precision=config.precision,
    )


def _own_encoder(
    config: TextConfig, tokenizer: "PreTrainedTokenizerFast | None"
) -> "tuple[T5EncoderModel, PreTrainedTokenizerFast]":
    if tokenizer is None:
        raise UsageError("A text encoder of our own needs a tokenizer; make one of the captions.")
    return make_encoder(config, len(tokenizer)), tokenizer
