"""CLIP score: how well pictures fit their prompts, as a CLIP from a local folder sees it.

Does not see: counts, places and which colour is whose, which CLIP hardly reads; prompts beyond its
77 tokens are cut. The score of one CLIP says nothing beside that of another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor, nn

from governance.errors import UsageError
from training.data.cleared import Pixels
from training.evaluate.estimate import Floats
from training.evaluate.extractors import CHUNK
from training.taught.weights import Lens, WeightsFiles

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KIND = "clip"
SCALE = 100.0  # w of the paper is 2.5; libraries and papers since print 100 times the cosine


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Clip:
    """Both halves of a CLIP, its tokenizer and its lens."""

    name: str
    sha256: str
    lens: Lens
    model: nn.Module
    tokenizer: "PreTrainedTokenizerBase"
    max_tokens: int

    @classmethod
    def open(cls, folder: Path, sha256: str) -> Self:
        """Read a CLIP whose folder hash is pinned. Raises UsageError, EvidenceMissing, Tampered."""
        from transformers import AutoTokenizer, CLIPModel  # noqa: PLC0415  heavy

        held = WeightsFiles.read(folder, sha256)
        if held.kind != KIND:
            raise UsageError(f"{folder.name} is a model of type {held.kind!r}; a CLIP is needed.")
        model = held.module(CLIPModel)
        with held.unpacked() as unpacked:
            tokenizer = AutoTokenizer.from_pretrained(unpacked, local_files_only=True)
        return cls(
            name=f"{KIND}: {folder.name}",
            sha256=sha256,
            lens=held.lens,
            model=model,
            tokenizer=tokenizer,
            max_tokens=int(model.config.text_config.max_position_embeddings),
        )

    @property
    def protocol(self) -> str:
        """Return how pictures and prompts are brought to it."""
        return f"{self.lens.protocol}, {self.max_tokens} tokens"

    def scores(self, pixels: Pixels, prompts: Sequence[str]) -> Floats:
        """Return max(100 cos, 0) of each of the uint8 pictures (N, 3, S, S) with its prompt.

        Raises:
            UsageError: there are not as many prompts as pictures.

        Source: Hessel et al. 2021, arXiv 2104.08718, equation 1, with 100 in place of 2.5.
        """
        if len(pixels) != len(prompts):
            raise UsageError(f"{len(pixels)} pictures have {len(prompts)} prompts; give one each.")
        spans = [slice(first, first + CHUNK) for first in range(0, len(pixels), CHUNK)]
        seen = [self._chunk(self.lens.bring(pixels[span]), prompts[span]) for span in spans]
        return np.concatenate([chunk.double().numpy() for chunk in seen])

    @torch.no_grad()
    def _chunk(self, pictures: Tensor, prompts: Sequence[str]) -> Tensor:
        told = self.tokenizer(
            list(prompts),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        seen = self.model(
            pixel_values=pictures, input_ids=told.input_ids, attention_mask=told.attention_mask
        )
        cosine: Tensor = nn.functional.cosine_similarity(seen.image_embeds, seen.text_embeds)
        return (SCALE * cosine).clamp(min=0.0)
