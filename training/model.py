"""The model: a PRX denoiser on pixels, a small T5 encoder, and a tokenizer made from the captions.

Stock diffusers and transformers classes hold the weights, so that a stock pipeline loads them.
`predict` is the denoiser's forward pass written over its own layers with fewer and larger
operations; a test holds it to the stock one.

Does not see: pretrained weights. All of it begins at random, from the seed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.config import ModelConfig, RunConfig, TextConfig

if TYPE_CHECKING:
    from diffusers import PRXTransformer2DModel
    from diffusers.models.normalization import RMSNorm
    from diffusers.models.transformers.transformer_prx import PRXAttention, PRXBlock
    from transformers import PreTrainedTokenizerFast, T5EncoderModel

PAD = "<pad>"
CHANNELS = 3
NORM_EPS = 1e-6


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
        _transformer(config.model, config.text.width),
        _text_encoder(config.text, len(tokenizer)),
        tokenizer,
    )


def _transformer(config: ModelConfig, text_width: int) -> "PRXTransformer2DModel":
    from diffusers import PRXTransformer2DModel  # noqa: PLC0415  heavy

    axis = config.width // config.heads // 2
    transformer = PRXTransformer2DModel(
        in_channels=CHANNELS,
        patch_size=config.patch_px,
        context_in_dim=text_width,
        hidden_size=config.width,
        mlp_ratio=config.mlp_ratio,
        num_heads=config.heads,
        depth=config.depth,
        axes_dim=[axis, axis],
        bottleneck_size=config.bottleneck,
    )
    for block in _blocks(transformer):
        _, _, gate, _, _, second_gate = block.modulation.lin.bias.detach().chunk(6)
        gate.fill_(config.gate_start)
        second_gate.fill_(config.gate_start)
    return transformer


def _text_encoder(config: TextConfig, vocabulary: int) -> "T5EncoderModel":
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
        ids, mask = self.ids[places], self.mask[places]
        longest = max(1, int(mask.sum(dim=1).max()))
        return type(self)(ids[:, :longest], mask[:, :longest], self.truncated)


def rotary(transformer: "PRXTransformer2DModel", side_px: int) -> Tensor:
    """Return the rotary phases of a square picture's patches as complex numbers (L, D / 2)."""
    from diffusers.models.transformers.transformer_prx import get_image_ids  # noqa: PLC0415  heavy

    ids = get_image_ids(1, side_px, side_px, transformer.patch_size, transformer.device)
    turns = transformer.pe_embedder(ids)[0, 0]  # (L, D / 2, 2, 2): rotation matrices
    return torch.complex(turns[..., 0, 0].contiguous(), turns[..., 1, 0].contiguous())


def predict(
    transformer: "PRXTransformer2DModel",
    noisy: Tensor,
    *,
    times: Tensor,
    text: Tensor,
    mask: Tensor,
    phases: Tensor,
) -> Tensor:
    """Return the clean picture the denoiser sees in a noisy one.

    Equal to `transformer(noisy, times, text, mask)` up to rounding, in about four fifths of the
    time on a CPU: phases are made once, a rotation is one complex product, a modulation one fused
    operation.

    Args:
        transformer: the denoiser.
        noisy: (B, 3, S, S) in about -1..1.
        times: (B,) in 0..1, where 1 is noise.
        text: (B, T, C) from the text encoder.
        mask: (B, T), true where there is a token.
        phases: (L, D / 2) from `rotary`.
    """
    from diffusers.models.transformers.transformer_prx import img2seq, seq2img  # noqa: PLC0415

    words = transformer.txt_in(text)
    tokens = transformer.img_in(img2seq(noisy, transformer.patch_size))
    vector = transformer._compute_timestep_embedding(times, tokens.dtype)  # noqa: SLF001
    seen = torch.cat((mask, mask.new_ones(tokens.shape[:2])), dim=1)[:, None, None, :]
    activated = functional.silu(vector)
    for block in _blocks(transformer):
        shift, scale, gate, shift2, scale2, gate2 = block.modulation.lin(activated)[
            :, None, :
        ].chunk(6, dim=-1)
        mixed = torch.addcmul(shift, block.img_pre_norm(tokens), 1 + scale)
        attended = _attend(block.attention, mixed, words=words, seen=seen, phases=phases)
        tokens = torch.addcmul(tokens, gate, attended)
        mixed = torch.addcmul(shift2, block.post_attention_layernorm(tokens), 1 + scale2)
        hidden = block.mlp_act(block.gate_proj(mixed)) * block.up_proj(mixed)
        tokens = torch.addcmul(tokens, gate2, block.down_proj(hidden))
    ended = transformer.final_layer(tokens, vector)
    clean: Tensor = seq2img(ended, transformer.patch_size, torch.tensor(noisy.shape[2:]))
    return clean


def _attend(
    attention: "PRXAttention", tokens: Tensor, *, words: Tensor, seen: Tensor, phases: Tensor
) -> Tensor:
    """Let picture tokens (B, L, C) look at words and at one another; words stay as they are."""
    batch, length, width = tokens.shape
    heads, channels = attention.heads, attention.head_dim
    query, key, value = (
        attention.img_qkv_proj(tokens)
        .view(batch, length, 3, heads, channels)
        .permute(2, 0, 3, 1, 4)
    )
    word_key, word_value = (
        attention.txt_kv_proj(words).view(batch, -1, 2, heads, channels).permute(2, 0, 3, 1, 4)
    )
    query = _rotated(_normed(query, attention.norm_q), phases)
    key = _rotated(_normed(key, attention.norm_k), phases)
    keys = torch.cat((_normed(word_key, attention.norm_added_k), key), dim=2)
    values = torch.cat((word_value, value), dim=2)
    mixed = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
    attended: Tensor = attention.to_out[0](mixed.transpose(1, 2).reshape(batch, length, width))
    return attended


def _blocks(transformer: "PRXTransformer2DModel") -> "Iterable[PRXBlock]":
    return cast("Iterable[PRXBlock]", transformer.blocks)


def _normed(heads: Tensor, norm: "RMSNorm") -> Tensor:
    return functional.rms_norm(heads, (heads.shape[-1],), norm.weight, NORM_EPS)


def _rotated(heads: Tensor, phases: Tensor) -> Tensor:
    pairs = torch.view_as_complex(heads.reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * phases).flatten(-2)
