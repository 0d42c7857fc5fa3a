"""The peer of `prx.py`: a step of Photoroom/PRX, by its own classes, read from a checkout.

Its denoiser, pipeline, schedulers, optimiser factory and algorithms do the work; this module builds
them as its own YAML does and calls them in Composer's order. What cannot run is named with its
reason. None of PRX's code is here.

Does not see: Composer, its data loader, communication and FSDP. Without them PRX is faster.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import composer_stub
import prx_teachers
import torch
from composer_stub import Algorithm, Engine, Event, State
from prx_batch import Batch, Shape
from torch import Tensor, nn

from governance.errors import EvidenceMissing

READ_AT = "1a052fd0eb5cb8a1113e6a9be64b57b79e5986ab"  # the commit this was written against
LEARNING = {"weight_decay": 0.0, "eps": 1e-15, "betas": (0.9, 0.95)}  # its optimizer/adamw.yaml
CLIP_NORM = 0.2  # its JIT-Baseline.yaml
DROP_SHARE = 0.1
TIME_FLOOR = 0.05  # its fm_pipeline.py divides by no less
FIRST_ROUTED, ROUTED_SHARE = 1, 0.5  # part 3: of the tokens, from the second block on
SHIFT = 3.0  # of times: its scheduler/euler_x_prediction_shifted.yaml
# Of code that is not ours anything may be thrown; these say that a piece does not run here.
CANNOT = (
    ImportError, AttributeError, NameError, RuntimeError, TypeError, ValueError, AssertionError,
    LookupError,
)  # fmt: skip
PIECES: Mapping[str, tuple[str, ...]] = {
    "none": ("EMA",),
    "tread": ("EMA", "Tread"),
    "full": ("EMA", "LPIPS", "PerceptualDINO", "REPA", "Tread"),
}
RUNS = "runs"
IN_BF16 = ("LPIPS", "PerceptualDINO", "REPA")


class Pipeline(Protocol):
    """What is used of PRX's pipeline."""

    denoiser: nn.Module

    def __call__(self, batch: Mapping[str, object]) -> Mapping[str, Tensor]:
        """Return prediction and target in velocity space."""
        ...

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, object]) -> Tensor:
        """Return the loss."""
        ...

    def compile(self, *, compile_denoiser: bool) -> None:
        """Compile."""
        ...


class Tower(nn.Module):
    """Stands where PRX has its text encoder: texts are there before; the empty one is 0."""

    use_attn_mask = True

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.words, self.hidden_size = shape.words, shape.text_width

    def forward(self, texts: list[str]) -> dict[str, Tensor]:
        """Return the empty prompt for each text."""
        rows = len(texts)
        return {
            "text_embed": torch.zeros(rows, self.words, self.hidden_size),
            "attention_mask": torch.zeros(rows, self.words, dtype=torch.bool),
        }


@contextmanager
def checkout(path: Path) -> Iterator[str]:
    """Let PRX be imported from a checkout until the block ends; yield its commit.

    Raises:
        EvidenceMissing: there is no PRX, or a package it needs is not installed.
    """
    if not (path / "prx" / "models").is_dir():
        raise EvidenceMissing(f"There is no checkout of Photoroom/PRX at {path}; clone it there.")
    import diffusers  # noqa: F401, PLC0415  heavy
    import torchmetrics  # noqa: F401, PLC0415
    import transformers  # noqa: PLC0415

    transformers.utils.is_torchvision_available()  # remembered, before a stand-in answers

    given = composer_stub.modules() | prx_teachers.modules()
    with ExitStack() as stack:
        stack.enter_context(composer_stub.standing_in(given, path=str(path), package="prx"))
        stack.enter_context(prx_teachers.hub())
        try:
            import_module("prx.pipeline.composer_pipeline")
        except ImportError as fault:
            raise EvidenceMissing(
                f"PRX cannot be imported: {fault}. Install what it needs (einops, omegaconf, ftfy, "
                "torchmetrics) and run this again."
            ) from None
        yield commit(path)


def commit(path: Path) -> str:
    """Return the commit of a checkout, and whether it is the one this was written against."""
    asked = subprocess.run(  # noqa: S603  a path the reader gave
        ["git", "-C", str(path), "rev-parse", "HEAD"],  # noqa: S607  as the reader has it
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = asked.stdout.strip()
    if not found:
        return "not known: no git checkout"
    return found if found == READ_AT else f"{found}, not {READ_AT[:12]} that this was written for"


@dataclass(slots=True, eq=False, kw_only=True)
class Theirs:
    """A pipeline of PRX in training."""

    shape: Shape
    device: torch.device
    pipeline: Pipeline
    optimiser: torch.optim.Optimizer
    engine: Engine
    pieces: dict[str, str]  # what was asked for, and RUNS or why not
    keys: Mapping[str, str]
    threads: int = 1
    count: int = 0
    parameters: list[nn.Parameter] = field(init=False)
    name = "PRX"

    @property
    def running(self) -> tuple[str, ...]:
        """Return the pieces that run."""
        return tuple(name for name, said in self.pieces.items() if said == RUNS)

    def __post_init__(self) -> None:
        """Collect what is trained, and begin."""
        groups = self.optimiser.param_groups
        self.parameters = [p for group in groups for p in group["params"]]
        self.engine.run(Event.INIT)
        self.engine.run(Event.FIT_START)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        asked = self._asked(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            return self.pipeline.loss(self.pipeline(asked), asked)

    def step(self, batch: Batch) -> float:
        """Train on a batch in the order of Composer's trainer; return the loss."""
        stamp = self.engine.state.timestamp
        self.engine.run(Event.BATCH_START)
        self.optimiser.zero_grad()
        loss = self.loss(batch)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimiser.step()
        stamp.batches += 1
        self.engine.run(Event.BATCH_END)
        self.count += 1
        return float(loss.detach())

    def clean_apart(self, batch: Batch) -> float:
        """Return how far the pictures PRX trains towards lie from a batch's own."""
        with torch.no_grad():
            made = self.pipeline(self._asked(batch))
        times = made["timesteps"].clamp(min=TIME_FLOOR)[:, None, None, None]
        return float((made["noised_latents"] - times * made["target"] - batch.clean).abs().max())

    def _asked(self, batch: Batch) -> dict[str, Tensor]:
        return {
            self.keys["IMAGE"]: batch.clean / 2 + 0.5,  # PRX has pictures in 0..1 here
            self.keys["PROMPT_EMBEDDING"]: batch.text,
            self.keys["PROMPT_EMBEDDING_MASK"]: batch.mask,
        }

    def see(self, noisy: Tensor, times: Tensor, batch: Batch) -> Tensor:
        """Return the clean pictures seen in noisy ones, without routing."""
        self.engine.run(Event.EVAL_START)
        with torch.no_grad():
            seen: Tensor = self.pipeline.denoiser(
                image_latent=noisy,
                timestep=times,
                prompt_embeds=batch.text,
                prompt_attention_mask=batch.mask,
            )
        self.engine.run(Event.EVAL_END)
        return seen


def make_theirs(
    shape: Shape, *, tricks: str, lr: float, device: torch.device, seed: int = 0
) -> Theirs:
    """Return a fresh side, built as PRX's train.py does: modules first, then the optimiser."""
    torch.manual_seed(seed)
    pipeline = _pipeline(shape).to(device)
    algorithms, pieces = [], {}
    for name in PIECES[tricks]:
        try:
            algorithms.append(_piece(name, shape, pipeline, device))
            pieces[name] = RUNS
        except CANNOT as fault:
            pieces[name] = f"cannot run: {type(fault).__name__}: {_first_line(fault)}"
    make = import_module("prx.training.optimizer").create_standard_optimizer
    return Theirs(
        shape=shape,
        device=device,
        pipeline=cast("Pipeline", pipeline.train()),
        optimiser=make(pipeline, "torch.optim.AdamW", lr=lr, **LEARNING),
        engine=Engine(State(pipeline), algorithms),
        pieces=pieces,
        keys=import_module("prx.dataset.constants").BatchKeys.__members__,
    )


def _pipeline(shape: Shape) -> nn.Module:
    denoiser = import_module("prx.models.prx").PRX(
        {
            "in_channels": 3,
            "patch_size": shape.patch,
            "context_in_dim": shape.text_width,
            "hidden_size": shape.width,
            "mlp_ratio": shape.mlp_ratio,
            "num_heads": shape.heads,
            "depth": shape.depth,
            "axes_dim": [shape.axis, shape.axis],
            "theta": 10_000,
            "bottleneck_size": shape.bottleneck,
        }
    )
    tower = import_module("prx.models.vae_tower").VaeTower
    schedulers = import_module("prx.schedulers.scheduler")
    config = schedulers.SchedulerConfig(prediction_type="x_prediction_flow_matching")
    train, draw = (schedulers.EulerDiscreteScheduler(config, shift=SHIFT) for _ in range(2))
    made: nn.Module = import_module("prx.pipeline.composer_pipeline").ComposerFMPipeline(
        denoiser=denoiser,
        vae=tower("identity", "IdentityVAE", default_channels=3).requires_grad_(
            requires_grad=False
        ),
        text_tower=Tower(shape),
        noise_scheduler=train,
        inference_noise_scheduler=draw,
        p_drop_caption=DROP_SHARE,
    )
    return made


def _piece(name: str, shape: Shape, pipeline: nn.Module, device: torch.device) -> Algorithm:
    """Return one of PRX's algorithms with its YAML's settings."""
    if name in IN_BF16 and device.type == "cpu":
        raise ValueError("held in bfloat16 by PRX, while the CPU side trains in float32")
    settings: Mapping[str, dict[str, object]] = {
        "EMA": {"smoothing": 0.999, "update_interval": "10ba", "ema_start": "0ba"},
        "Tread": {
            "route_start": FIRST_ROUTED, "route_end": shape.last_routed,
            "routing_probability": ROUTED_SHARE, "seed": 42,
        },
        "LPIPS": {"lpips_weight": 0.1, "t_threshold": 1, "resize_factor": 0.5},
        "PerceptualDINO": {"pdino_weight": 0.01, "t_threshold": 1, "resize_resolution": 224},
        "REPA": {"lambda_weight": 0.5, "layer_index": shape.aligned_block},
    }  # fmt: skip
    homes = {"PerceptualDINO": "perceptual_dino"}
    home = import_module(f"prx.algorithm.{homes.get(name, name.lower())}")
    made: Algorithm = getattr(home, name)(**settings[name])
    add: Callable[[nn.Module], None] | None = getattr(made, "add_new_pipeline_modules", None)
    if add is not None:
        add(pipeline)
    return made


def muon_runs() -> str:
    """Return whether PRX's Muon takes a step on one device, or what it throws."""
    try:
        make = import_module("prx.training.optimizer").create_muon_optimizer
        model = nn.ModuleDict({"blocks": nn.Linear(8, 8)})
        optimiser = make(model, {"lr": 1e-4, "momentum": 0.95}, {"lr": 1e-4})
        model["blocks"](torch.randn(2, 8)).sum().backward()
        optimiser.step()
    except CANNOT as fault:
        return f"cannot run: {type(fault).__name__}: {_first_line(fault)}"
    return "takes a step; not used here: both sides have AdamW"


def _first_line(fault: Exception) -> str:
    return (str(fault).splitlines() or ["no message"])[0]
