"""A frozen text encoder: named in the config, read from a local folder with its own tokenizer.

Does not see: what it was trained on, or whether its licence allows this; the clearance says that.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from governance.errors import EvidenceMissing, UsageError
from training.config import TextConfig
from training.taught.weights import WeightsFiles, weights_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

KINDS: Mapping[str, str] = {  # model type: the class in transformers that reads text alone
    "bert": "BertModel",
    "clip": "CLIPTextModel",
    "clip_text_model": "CLIPTextModel",
    "gemma2": "Gemma2Model",
    "llama": "LlamaModel",
    "qwen3": "Qwen3Model",
    "t5": "T5EncoderModel",
    "t5gemma": "T5GemmaEncoderModel",
    "umt5": "UMT5EncoderModel",
}
TOKENIZER = "tokenizer.json"
ENCODER_ALONE: Mapping[str, bool] = {"is_encoder_decoder": False}  # of a model that has both


def open_encoder(
    config: TextConfig, device: str
) -> tuple["PreTrainedModel", "PreTrainedTokenizerFast"]:
    """Return the frozen encoder of a run config and its tokenizer.

    Raises:
        EvidenceMissing: a file or a tensor is not there.
        Tampered: the folder is not the one that was pinned.
        UsageError: it is no text encoder that is known here, or of another width.
    """
    import transformers  # noqa: PLC0415  heavy

    held = WeightsFiles.read(weights_folder(config.encoder), config.encoder.sha256)
    if held.kind not in KINDS:
        raise UsageError(
            f"{held.name} is a model of the type {held.kind!r}; text encoders are "
            f"{', '.join(sorted(KINDS))}."
        )
    changes = ENCODER_ALONE if held.kind == "t5gemma" else {}
    encoder = held.module(getattr(transformers, KINDS[held.kind]), device, **changes)
    if TOKENIZER not in held.files:  # transformers would make one that knows no word
        raise EvidenceMissing(f"{held.name} has no {TOKENIZER}; add the one it came with.")
    with held.unpacked() as folder:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.padding_side = "right"  # so that rows can be cut where the longest ends
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    _check(held.name, encoder, tokenizer, config)
    return encoder, tokenizer


def _check(
    name: str, encoder: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", config: TextConfig
) -> None:
    """Hold what it says of a word and of nothing to the config. Raises UsageError."""
    told = tokenizer(["a", ""], padding="max_length", max_length=config.max_tokens,
                     truncation=True, return_tensors="pt")  # fmt: skip
    try:
        states = encode(encoder, told["input_ids"], told["attention_mask"].bool())
    except (IndexError, RuntimeError, ValueError):  # it has no place for so many tokens
        raise UsageError(
            f"{name} does not read {config.max_tokens} tokens; lower text.max_tokens."
        ) from None
    if states.shape[2] != config.width:
        raise UsageError(
            f"{name} says {states.shape[2]} numbers a token, and text.width is {config.width}; "
            f"write {states.shape[2]}."
        )
    if not states.isfinite().all():
        raise UsageError(f"What {name} says of an empty prompt is not finite; name another.")


@torch.no_grad()
def encode(encoder: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """Return what a frozen encoder says (B, T, C) of token ids (B, T), in fp32."""
    device = next(encoder.parameters()).device
    said = encoder(input_ids=ids.to(device), attention_mask=mask.to(device))
    states: Tensor = said.last_hidden_state
    return states.float()
