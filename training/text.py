"""Text: a tokenizer made from the captions, captions as tokens, and a small encoder of our own.

Does not see: what a caption means, or whether it may be trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from torch import Tensor

from training.config import TextConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, T5EncoderModel

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
    """Captions as ids (N, T) and mask (N, T), padded; `truncated` counts those that did not fit."""

    ids: Tensor
    mask: Tensor
    truncated: int

    @classmethod
    def of(cls, captions: Sequence[str], tokenizer: "PreTrainedTokenizerFast", most: int) -> Self:
        """Tokenise captions, each cut at `most` tokens."""
        cleaned = [clean(caption) for caption in captions]
        whole = tokenizer(cleaned)["input_ids"]
        padded = tokenizer(
            cleaned, padding="max_length", max_length=most, truncation=True, return_tensors="pt"
        )
        truncated = sum(len(ids) > most for ids in whole)
        return cls(padded["input_ids"], padded["attention_mask"].bool(), truncated)

    def rows(self, places: Sequence[int]) -> Self:
        """Return some captions, padded no further than the longest of them."""
        wanted = list(places)
        ids, mask = self.ids[wanted], self.mask[wanted]
        longest = max(1, int(mask.sum(dim=1).max()))
        return type(self)(ids[:, :longest], mask[:, :longest], self.truncated)
