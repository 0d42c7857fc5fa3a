"""What changes while training: weights, their average, the optimiser and the counts.

Does not see: the clock. Time is asked for in `loop.py` and kept in the counts.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from governance.canon import Json
from governance.errors import Tampered
from governance.records import as_object
from training import optim
from training.config import RunConfig, TeacherConfig, WeightsConfig
from training.model import Model, build
from training.objective import Objective
from training.records.receipt import Receipt
from training.team.parallel import ALONE, Team
from training.team.sharding import gather_into, local
from training.text.tokens import load_tokenizer

NOBODY = TeacherConfig(weights=WeightsConfig(name="", sha256=""), weight=0.0, block=0)
SMOOTH = 0.97  # of the loss that is shown: about the last thirty steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was done so far. `loss` is smoothed; seconds sum over every start of the run.

    `receipt` covers the samples up to the last checkpoint: only then is it known of all processes
    what they read.
    """

    step: int = 0
    samples: int = 0
    receipt: str = Receipt().value.hex()
    lr_share: float = 0.0
    loss: float = 0.0
    train_s: float = 0.0

    def after_step(self, samples: int, *, loss: float, lr_share: float, train_s: float) -> Self:
        """Return the counts after a step on so many images that took so long."""
        smooth = SMOOTH if self.step else 0.0
        return replace(
            self,
            step=self.step + 1,
            samples=self.samples + samples,
            lr_share=lr_share,
            loss=smooth * self.loss + (1 - smooth) * loss,
            train_s=self.train_s + train_s,
        )

    def received(self, digests: Iterable[bytes]) -> Self:
        """Return the counts with a receipt that covers these images (32-byte digests) too."""
        receipt = Receipt(bytes.fromhex(self.receipt)).extended(digests)
        return replace(self, receipt=receipt.value.hex())

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
    objective: nn.Module
    averages: list[Tensor]
    optimiser: optim.Optimiser
    counts: Counts = field(default_factory=Counts)

    @classmethod
    def fresh(cls, config: RunConfig, tokenizer: str, team: Team = ALONE) -> Self:
        """Return the beginning: random weights from the seed, spread over a team."""
        model = build(config, load_tokenizer(tokenizer) if tokenizer else None)
        objective = team.around(Objective(model, config.objective).to(team.device))
        return cls(
            model=model,
            objective=objective,
            averages=[p.detach().clone() for _, p in model.named_parameters()],
            optimiser=optim.make_optimiser(
                model.named_parameters(),
                config.optimiser,
                rank=team.rank,
                world=team.world,
                share=team.share,
            ),
        )

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters, always in the same order."""
        return [parameter for _, parameter in self.model.named_parameters()]

    @torch.no_grad()
    def settle(self) -> None:
        """Make the average the weights: what is drawn with and exported once training is over."""
        torch._foreach_copy_(local(self.parameters()), local(self.averages))

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by kind and name; some are spread over the processes of a team."""
        named = list(self.model.named_parameters())
        moments = {
            f"optimiser/{name}/{moment}": value
            for name, parameter in named
            for moment, value in self.optimiser.state_of(parameter).items()
        }
        return {
            **{f"weights/{name}": parameter.detach() for name, parameter in named},
            **{f"average/{n}": a for (n, _), a in zip(named, self.averages, strict=True)},
            **moments,
        }

    def assembled(self, config: RunConfig, team: Team) -> Model | None:
        """Return the model as one process holds it, in the first process of a team that spread it.

        All processes must ask; the others get None. Teachers and what is held to them stay behind.
        """
        if not any(isinstance(parameter, DTensor) for parameter in self.parameters()):
            return self.model if team.rank == 0 else None
        untaught = replace(config.objective, repa=NOBODY, perceptual=())
        plain = replace(config, objective=untaught)
        model = build(plain, self.model.tokenizer) if team.rank == 0 else None
        parts = model.trained.values() if model else ()
        for part in parts:
            part.to(team.device)
        targets = dict(model.named_parameters()) if model else {}
        for name, parameter in self.model.named_parameters():
            gather_into(targets.get(name), parameter.detach())
        return model
