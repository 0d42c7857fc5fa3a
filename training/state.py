"""What changes while training: weights, their average, the optimiser and the counts.

Does not see: the clock. Time is asked for in `loop.py` and kept in the counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Self

import torch
from torch import Tensor, nn

from governance.canon import Json
from governance.errors import Tampered
from governance.records import as_object
from training import optim
from training.config import RunConfig
from training.model import Model, build
from training.receipt import Receipt
from training.text import load_tokenizer

SMOOTH = 0.97  # of the loss that is shown: about the last thirty steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was done so far. `loss` is smoothed; seconds sum over all processes of the run."""

    step: int = 0
    samples: int = 0
    receipt: str = Receipt().value.hex()
    lr_share: float = 0.0
    loss: float = 0.0
    train_s: float = 0.0

    def after_step(
        self,
        digests: Iterable[bytes],
        *,
        loss: float,
        lr_share: float,
        train_s: float,
    ) -> Self:
        """Return the counts after a step on these images that took so long."""
        seen = Receipt(bytes.fromhex(self.receipt), self.samples).extended(digests)
        smooth = SMOOTH if self.step else 0.0
        return type(self)(
            step=self.step + 1,
            samples=seen.samples,
            receipt=seen.value.hex(),
            lr_share=lr_share,
            loss=smooth * self.loss + (1 - smooth) * loss,
            train_s=self.train_s + train_s,
        )

    def line(self, loss: float, grad_norm: float, lr: float) -> dict[str, Json]:
        """Return the line of `metrics.jsonl` of the step just done, at this peak rate."""
        return {
            "step": self.step,
            "loss": loss,
            "grad_norm": grad_norm,
            "lr": self.lr_share * lr,
            "seconds": round(self.train_s, 4),
            "samples": self.samples,
        }

    def to_json(self) -> dict[str, Json]:
        """Return the counts as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read counts back. Raises Tampered when a field is missing or unknown."""
        found = as_object(value, "the counts of a checkpoint")
        if found.keys() != {f.name for f in fields(cls)}:
            raise Tampered("The counts of a checkpoint lack or add a field; restore it.")
        return cls(**found)


@dataclass(slots=True, eq=False, kw_only=True)
class Training:
    """A model in training. Everything here is in a checkpoint, and comes back from one."""

    model: Model
    averages: list[Tensor]
    optimiser: optim.Optimiser
    counts: Counts = field(default_factory=Counts)

    @classmethod
    def fresh(cls, config: RunConfig, tokenizer: str) -> Self:
        """Return the beginning: random weights from the seed."""
        model = build(config, load_tokenizer(tokenizer))
        return cls(
            model=model,
            averages=[p.detach().clone() for _, p in model.named_parameters()],
            optimiser=optim.make_optimiser(model.named_parameters(), config.optimiser),
        )

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters, always in the same order."""
        return [parameter for _, parameter in self.model.named_parameters()]

    @torch.no_grad()
    def settle(self) -> None:
        """Make the average the weights: what is drawn with and exported once training is over."""
        for parameter, average in zip(self.parameters(), self.averages, strict=True):
            parameter.copy_(average)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return all tensors by file and name."""
        named = list(self.model.named_parameters())
        moments = {
            f"{name}/{moment}": value
            for name, parameter in named
            for moment, value in self.optimiser.state_of(parameter).items()
        }
        return {
            "weights": {name: parameter.detach() for name, parameter in named},
            "average": {n: a for (n, _), a in zip(named, self.averages, strict=True)},
            "optimiser": moments,
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Mapping[str, Tensor]], counts: Counts) -> None:
        """Take the tensors of a checkpoint. Raises Tampered when one is missing or misshapen."""
        try:
            for (name, parameter), average in zip(
                self.model.named_parameters(), self.averages, strict=True
            ):
                parameter.copy_(tensors["weights"][name])
                average.copy_(tensors["average"][name])
                kept = {
                    moment: tensors["optimiser"][f"{name}/{moment}"].clone()
                    for moment in self.optimiser.keeps(parameter)
                }
                self.optimiser.restore(parameter, kept)
        except (KeyError, RuntimeError) as fault:
            raise Tampered(f"This checkpoint does not fit the run config: {fault}.") from None
        self.counts = counts
