"""Our side of `prx.py`: the pieces of `training` put together on features made beforehand.

This is the one place of the benchmark that knows `training`: its model, its objective with routes
and teachers, its optimiser, its average of the weights, and its team of threads.

Does not see: receipts, journal, meters and heartbeat; `trainer.py` runs the whole loop.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from prx_batch import Batch, Shape
from prx_taught import APART, make_teachers
from prx_theirs import CLIP_NORM, DROP_SHARE, FIRST_ROUTED, ROUTED_SHARE, SHIFT, TIME_FLOOR
from torch import Tensor, nn

from training import optim
from training.compiling import through_blocks
from training.config import RunConfig, load_preset
from training.denoiser import make_denoiser, predict, rotary
from training.model import Model
from training.objective import Noised, Objective, dice
from training.routing import Route
from training.taught.alignment import HEAD, make_head
from training.team.parallel import Team
from training.text.tokens import Tokens
from training.times import shifted

if TYPE_CHECKING:
    from diffusers import PRXTransformer2DModel
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

UNIFORM_SHARE = 0.1  # of times, as PRX's scheduler draws them
NAMES = (  # of weights within a block: PRX's, and diffusers' for the same
    ("attn_out.", "attention.to_out.0."),
    ("qk_norm.query_norm.scale", "attention.norm_q.weight"),
    ("qk_norm.key_norm.scale", "attention.norm_k.weight"),
    ("k_norm.scale", "attention.norm_added_k.weight"),
    ("img_qkv_proj.", "attention.img_qkv_proj."),
    ("txt_kv_proj.", "attention.txt_kv_proj."),
)


def config_of(shape: Shape, lr: float, *, routed: bool = False) -> RunConfig:
    """Return a run config of this shape that learns as the peer does."""
    micro = load_preset("micro")
    return replace(
        micro,
        model=replace(
            micro.model,
            patch_px=shape.patch,
            width=shape.width,
            depth=shape.depth,
            heads=shape.heads,
            mlp_ratio=shape.mlp_ratio,
            bottleneck=shape.bottleneck,
            gate_start=0.0,
            kept_share=1.0 - ROUTED_SHARE if routed else 1.0,
            routed_from=FIRST_ROUTED if routed else 0,
            routed_to=shape.last_routed + 1 if routed else 0,
        ),
        objective=replace(micro.objective, time_floor=TIME_FLOOR),
        optimiser=replace(
            micro.optimiser,
            kind="adamw",
            lr=lr,
            beta1=0.9,
            beta2=0.95,
            weight_decay=0.0,
            clip_norm=CLIP_NORM,
            ema_decay=0.999,
        ),
    )


def differing(pieces: Mapping[str, str], ours: Collection[str]) -> list[str]:
    """Return a sentence for each piece asked for that ours has not, or has as another work."""
    without = [f"without {name}, which PRX cannot run here" for name in pieces if name not in ours]
    return [*without, *(f"{name}: {APART[name]}" for name in ours if name in APART)]


@dataclass(slots=True, eq=False, kw_only=True)
class Ours:
    """Our denoiser in training, with our counterparts of some pieces of PRX."""

    shape: Shape
    device: torch.device
    config: RunConfig
    model: Model
    team: Team
    pieces: tuple[str, ...] = ()
    parts: int = 1
    threads: int = 1
    count: int = 0
    parameters: list[nn.Parameter] = field(init=False)
    averages: list[Tensor] = field(init=False)
    optimiser: optim.Optimiser = field(init=False)
    objective: Objective = field(init=False)
    name = "ours"

    def __post_init__(self) -> None:
        """Begin from the weights as they are."""
        named = list(self.model.named_parameters())
        self.parameters = [parameter for _, parameter in named]
        self.averages = [parameter.detach().clone() for parameter in self.parameters]
        self.optimiser = optim.make_optimiser(named, self.config.optimiser)
        self.objective = Objective(self.model, self.config.objective)

    @property
    def transformer(self) -> "PRXTransformer2DModel":
        """Return the denoiser."""
        return self.model.transformer

    def compile(self) -> None:
        """Compile as our training does: block by block."""
        through_blocks(self.transformer)(True)  # noqa: FBT003  its only argument

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch: the objective of `training`, with PRX's times."""
        loss: Tensor = self.objective(self._noised(batch, 0))
        return loss

    def step(self, batch: Batch) -> float:
        """Train on a batch as our loop does; return the loss."""
        loss = self.team.gradients(
            self.objective,
            partial(self._part, batch),
            parameters=self.parameters,
            parts=range(self.parts),
        )
        norm = optim.step(self.optimiser, self.config.optimiser, lr_share=1.0)
        decay = self.config.optimiser.ema_decay
        optim.average(self.averages, self.parameters, decay=decay, step=self.count)
        self.count += 1
        loss_now, _ = torch.stack((loss, norm)).tolist()  # the one host sync of a step
        return float(loss_now)

    def see(self, noisy: Tensor, times: Tensor, batch: Batch) -> Tensor:
        """Return the clean pictures seen in noisy ones, without routing."""
        phases = rotary(self.transformer, *noisy.shape[2:])
        with torch.no_grad():
            return predict(
                self.transformer,
                noisy,
                times=times,
                text=batch.text,
                mask=batch.mask,
                phases=phases,
            )

    def _part(self, batch: Batch, number: int) -> Noised:
        rows = len(batch.clean) // self.parts
        span = slice(number * rows, (number + 1) * rows)
        part = Batch(batch.clean[span], batch.text[span], batch.mask[span])
        return self._noised(part, number)

    def _noised(self, batch: Batch, part: int) -> Noised:
        """Draw times, noise, dropped captions and routes, as `Noised.drawn` does."""
        rows, patches = len(batch.clean), (self.shape.px // self.shape.patch) ** 2
        thrown = dice(self.config.seed, step=self.count, part=part, device=self.device.type)
        times = drawn_times(rows, thrown)
        noise = torch.randn(batch.clean.shape, generator=thrown, device=self.device)
        kept = torch.rand(rows, 1, generator=thrown, device=self.device) >= DROP_SHARE
        states = batch.text * kept[:, :, None]
        told = Tokens(batch.mask, batch.mask & kept, 0, states=states)  # no ids: states are there
        route = Route.drawn(self.config.model, rows=rows, tokens=patches, dice=thrown)
        noised = Noised.at(times, clean=batch.clean, noise=noise, tokens=told)
        return replace(noised, route=route)


def drawn_times(rows: int, thrown: torch.Generator) -> Tensor:
    """Return times (B,): logit-normal and shifted, but for a tenth that are uniform, as in PRX.

    `training.times` shifts the uniform ones as well.
    """
    device = thrown.device
    times = shifted(torch.sigmoid(torch.randn(rows, generator=thrown, device=device)), SHIFT)
    even, chosen = torch.rand(2, rows, generator=thrown, device=device)
    return torch.where(chosen < UNIFORM_SHARE, even, times)


def make_ours(
    shape: Shape,
    *,
    lr: float,
    device: torch.device,
    team: Team,
    parts: int,
    pieces: tuple[str, ...] = (),
    seed: int = 0,
) -> Ours:
    """Return a fresh side; with several parts each has a thread of the team."""
    torch.manual_seed(seed)
    config = config_of(shape, lr, routed="Tread" in pieces)
    transformer = make_denoiser(config.model, shape.text_width)
    cast("nn.Module", transformer).to(device)
    teachers = make_teachers(pieces, shape, device)
    heads = None
    if teachers.repa:
        heads = nn.ModuleDict({HEAD: make_head(shape.width, teachers.repa.width)}).to(device)
    model = Model(
        transformer,
        cast("PreTrainedModel", nn.Identity()),  # nobody asks it: features are made beforehand
        cast("PreTrainedTokenizerFast", None),
        text_trained=False,
        heads=heads,
        teachers=teachers,
        precision="bf16" if device.type == "cuda" else "fp32",
    )
    return Ours(
        shape=shape,
        device=device,
        config=config,
        model=model,
        team=team,
        pieces=pieces,
        parts=parts,
    )


def translated(name: str) -> str:
    """Return diffusers' name of a weight that PRX has under this one."""
    if not name.startswith("blocks."):
        return name
    _, number, rest = name.split(".", maxsplit=2)
    for theirs, ours in NAMES:
        if rest.startswith(theirs):
            return f"blocks.{number}.{ours}{rest.removeprefix(theirs)}"
    return name


@torch.no_grad()
def take_weights(ours: nn.Module, theirs: Mapping[str, Tensor]) -> str:
    """Copy PRX's weights; return what hinders it, or nothing."""
    own = ours.state_dict()
    given = {translated(name): tensor for name, tensor in theirs.items()}
    apart = sorted(given.keys() ^ own.keys())
    if apart:
        return f"{len(apart)} weights have no counterpart: {', '.join(apart[:4])}"
    misfits = [name for name, tensor in given.items() if tensor.shape != own[name].shape]
    if misfits:
        return f"shapes differ: {', '.join(misfits[:4])}"
    for name, tensor in given.items():
        own[name].copy_(tensor)
    return ""
