"""The denoiser: a stock `PRXTransformer2DModel` on pixels, run by a forward pass of our own.

`see` is the stock forward pass written over the same layers with fewer and larger operations; a
test holds it to the stock one. Weights keep their stock names, so a stock pipeline loads them.

Does not see: where the text comes from, or what the picture is compared with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional

from training.config import ModelConfig
from training.routing import Route

if TYPE_CHECKING:
    from diffusers import PRXTransformer2DModel
    from diffusers.models.normalization import RMSNorm
    from diffusers.models.transformers.transformer_prx import PRXAttention, PRXBlock

CHANNELS = 3
NORM_EPS = 1e-6
THROUGH = "through"  # where a transformer keeps a compiled `attend`, if it has one


def make_denoiser(config: ModelConfig, text_width: int) -> "PRXTransformer2DModel":
    """Return a denoiser of this shape, random but for the gates of its blocks."""
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
        resolution_embeds=config.resolution_embeds,
    )
    for block in _blocks(transformer):
        _, _, gate, _, _, second_gate = block.modulation.lin.bias.detach().chunk(6)
        gate.fill_(config.gate_start)
        second_gate.fill_(config.gate_start)
    return transformer


def rotary(transformer: "PRXTransformer2DModel", height_px: int, width_px: int) -> Tensor:
    """Return the rotary phases of a picture's patches as complex numbers (L, D / 2)."""
    from diffusers.models.transformers.transformer_prx import get_image_ids  # noqa: PLC0415  heavy

    ids = get_image_ids(1, height_px, width_px, transformer.patch_size, transformer.device)
    turns = transformer.pe_embedder(ids)[0, 0]  # (L, D / 2, 2, 2): rotation matrices
    return torch.complex(turns[..., 0, 0].contiguous(), turns[..., 1, 0].contiguous())


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The clean picture the denoiser sees in a noisy one, and its tokens after one block."""

    clean: Tensor
    tapped: Tensor | None


def predict(
    transformer: "PRXTransformer2DModel",
    noisy: Tensor,
    *,
    times: Tensor,
    text: Tensor,
    mask: Tensor,
    phases: Tensor,
) -> Tensor:
    """Return the clean picture the denoiser sees in a noisy one; `see` says with what."""
    return see(transformer, noisy, times=times, text=text, mask=mask, phases=phases).clean


def see(
    transformer: "PRXTransformer2DModel",
    noisy: Tensor,
    *,
    times: Tensor,
    text: Tensor,
    mask: Tensor,
    phases: Tensor,
    route: Route | None = None,
    tap: int | None = None,
) -> Seen:
    """Return what the denoiser sees in a noisy picture.

    Equal to `transformer(noisy, times, text, mask)` up to rounding, in about four fifths of the
    time on a CPU: phases are made once, a rotation is one complex product, a modulation one fused
    operation.

    Args:
        transformer: the denoiser.
        noisy: (B, 3, H, W) in about -1..1.
        times: (B,) in 0..1, where 1 is noise.
        text: (B, T, C) from the text encoder.
        mask: (B, T), true where there is a token.
        phases: (L, D / 2) from `rotary`.
        route: which tokens bypass which blocks; None in all of drawing.
        tap: the block after which tokens are handed out, those kept where it is routed.
    """
    from diffusers.models.transformers.transformer_prx import img2seq, seq2img  # noqa: PLC0415

    words = transformer.txt_in(text)
    tokens = transformer.img_in(img2seq(noisy, transformer.patch_size))
    vector = _conditioned(transformer, times, noisy.shape[2:], tokens.dtype)
    seen = torch.cat((mask, mask.new_ones(tokens.shape[:2])), dim=1)[:, None, None, :]
    activated, turned, whole, tapped = functional.silu(vector), phases, tokens, None
    through = getattr(transformer, THROUGH, attend)
    for number, block in enumerate(_blocks(transformer)):
        if route is not None and number == route.first:
            whole, tokens, turned = tokens, route.taken(tokens), route.phases(phases)
        looked = seen[..., : words.shape[1] + tokens.shape[1]]
        tokens = through(block, tokens, words, looked, turned, activated)
        if number == tap:
            tapped = tokens
        if route is not None and number == route.end - 1:
            tokens, turned = route.returned(whole, tokens), phases
    ended = transformer.final_layer(tokens, vector)
    size = cast("Tensor", tuple(noisy.shape[2:]))  # it takes both, and waits for no tuple
    clean: Tensor = seq2img(ended, transformer.patch_size, size)
    return Seen(clean, tapped)


def _conditioned(
    transformer: "PRXTransformer2DModel", times: Tensor, size: Sequence[int], dtype: torch.dtype
) -> Tensor:
    """Return what every block is modulated by (B, C): the time, and the size where it is told."""
    vector: Tensor = transformer._compute_timestep_embedding(times, dtype)  # noqa: SLF001
    embedder = transformer.resolution_embedder
    if embedder is None:
        return vector
    height, width = (torch.full_like(times, side) for side in size)
    sized: Tensor = vector + embedder(height, width, dtype=dtype)
    return sized


def attend(
    block: "PRXBlock", tokens: Tensor, words: Tensor, seen: Tensor, phases: Tensor, told: Tensor
) -> Tensor:
    """Return picture tokens (B, L, C) after one block.

    Args:
        block: whose layers are used.
        tokens: (B, L, C).
        words: (B, T, C), as they stay.
        seen: which of words and tokens may be looked at, broadcast to (B, heads, L, T + L).
        phases: (L, D / 2) complex, or for each picture (B, 1, L, D / 2).
        told: (B, C) of time and size, activated.
    """
    shift, scale, gate, shift2, scale2, gate2 = block.modulation.lin(told)[:, None, :].chunk(
        6, dim=-1
    )
    mixed = torch.addcmul(shift, block.img_pre_norm(tokens), 1 + scale)
    attended = _attend(block.attention, mixed, words=words, seen=seen, phases=phases)
    tokens = torch.addcmul(tokens, gate, attended)
    mixed = torch.addcmul(shift2, block.post_attention_layernorm(tokens), 1 + scale2)
    hidden = block.mlp_act(block.gate_proj(mixed)) * block.up_proj(mixed)
    return torch.addcmul(tokens, gate2, block.down_proj(hidden))


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
    # in fp32, whatever the products are in: phases turn no bf16
    return functional.rms_norm(heads.float(), (heads.shape[-1],), norm.weight, NORM_EPS)


def _rotated(heads: Tensor, phases: Tensor) -> Tensor:
    pairs = heads.reshape(*heads.shape[:-1], -1, 2)
    if torch.compiler.is_compiling():  # Inductor makes no code of complex numbers
        (first, second), (cos, sin) = pairs.unbind(-1), torch.view_as_real(phases).unbind(-1)
        turned = torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1)
        return turned.flatten(-2)
    return torch.view_as_real(torch.view_as_complex(pairs) * phases).flatten(-2)
