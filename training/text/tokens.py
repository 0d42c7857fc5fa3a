"""Text: a tokenizer made from the captions, captions as tokens, and a small encoder of our own.

Does not see: what a caption means, or whether it may be trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from training.config import TextConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, T5EncoderModel

    from training.text.latents import Latents

PAD = "<pad>"


def make_encoder(config: TextConfig, vocabulary: int) -> "T5EncoderModel":
    """Return a T5 encoder of this shape, random."""
    from transformers import T5Config, T5EncoderModel  # noqa: PLC0415  heavy

    return T5EncoderModel(
        T5Config(
            vocab_size=vocabulary,
            d_model=config.width,
            d_kv=config.width // config.heads,
            d_ff=config.mlp_width,
            num_layers=config.depth,
            num_heads=config.heads,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
        )
    )


def make_tokenizer(captions: Sequence[str], vocabulary: int) -> str:
    """Return a byte-level BPE made from cleaned captions, as the JSON that `tokenizers` reads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([clean(caption) for caption in captions], trainer)
    return str(tokenizer.to_str())


def load_tokenizer(text: str) -> "PreTrainedTokenizerFast":
    """Return the tokenizer written in `text`, in the form a stock pipeline saves and loads."""
    from tokenizers import Tokenizer  # noqa: PLC0415  heavy
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415  heavy

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(text), pad_token=PAD)


def clean(caption: str) -> str:
    """Return a caption as the stock pipeline will clean a prompt, so that both read the same."""
    from diffusers.pipelines.prx.pipeline_prx_pixel import _basic_clean  # noqa: PLC0415  heavy

    return str(_basic_clean(caption))


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Captions as ids (N, T) and mask (N, T), padded; `truncated` counts those that did not fit.

    `untold` are the ids of the empty prompt, which stands for a caption that is dropped. `states`
    (N, T, C) is what a frozen encoder says of these rows, where `latents` keeps that of all.
    """

    ids: Tensor
    mask: Tensor
    truncated: int
    untold: tuple[int, ...] = ()
    states: Tensor | None = None
    latents: "Latents | None" = None

    @classmethod
    def of(cls, captions: Sequence[str], tokenizer: "PreTrainedTokenizerBase", most: int) -> Self:
        """Tokenise captions, each cut at `most` tokens."""
        cleaned = [clean(caption) for caption in captions]
        whole = tokenizer([*cleaned, ""])["input_ids"]
        padded = tokenizer(
            cleaned, padding="max_length", max_length=most, truncation=True, return_tensors="pt"
        )
        truncated = sum(len(ids) > most for ids in whole)
        ids, mask = padded["input_ids"], padded["attention_mask"].bool()
        return cls(ids, mask, truncated, tuple(whole[-1]))

    def rows(self, places: Sequence[int]) -> Self:
        """Return some captions, padded no further than the longest of them."""
        wanted = list(places)
        longest = max(1, int(self.mask[wanted].sum(dim=1).max()))
        states = self.latents.rows(wanted, longest) if self.latents else None
        return replace(
            self,
            ids=self.ids[wanted, :longest],
            mask=self.mask[wanted, :longest],
            states=states,
        )

    def to(self, device: torch.device) -> Self:
        """Return the captions on a device."""
        states = None if self.states is None else self.states.to(device)
        return replace(self, ids=self.ids.to(device), mask=self.mask.to(device), states=states)

    def without(self, dropped: Tensor) -> Self:
        """Return the captions with the empty prompt, as short as any, for those dropped (N,)."""
        count, told = len(self.untold), ~dropped[:, None]
        empty = torch.zeros_like(self.ids[:1])
        empty[0, :count] = empty.new_tensor(self.untold)
        seen = torch.zeros_like(self.mask[:1])
        seen[0, :count] = True
        states = self.states
        if states is not None and self.latents:
            nothing = torch.zeros_like(states[:1])
            nothing[0, :count] = self.latents.untold
            states = torch.where(told[..., None], states, nothing)
        ids, mask = torch.where(told, self.ids, empty), torch.where(told, self.mask, seen)
        return replace(self, ids=ids, mask=mask, states=states)
