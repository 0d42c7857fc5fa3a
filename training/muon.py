"""Muon: matrices move by the orthogonal part of their momentum, all of one shape at once.

Matrices of one shape, and those of the same shape turned, go through Newton-Schulz as one batch.
On several processes each matrix belongs to one of them, which works its update out for all; where
matrices are spread over the processes, they are gathered for that.

Sources: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon (iteration, coefficients);
Moonlight, arXiv 2502.16982, eq. 4 (scale and weight decay).

Does not see: what is no matrix, or should not be moved as one; `optim.py` decides that.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from training.team.sharding import local, part_of, whole_of

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # steepest at 0: singular values end at about 0.7 to 1.2
STEPS = 5
TINY = 1e-7
RMS = 0.2  # of an update, as AdamW's is in practice: Moonlight, section 2.2
MOMENTUM = "momentum"
Share = Callable[[list[Tensor]], None]


def newton_schulz(matrices: Tensor) -> Tensor:
    """Return matrices (N, R, C) with about the same singular vectors and singular values near 1.

    Works in the precision that it is given; R is best no larger than C.
    """
    a, b, c = COEFFICIENTS
    turned: Tensor = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=TINY)
    for _ in range(STEPS):
        gram = turned @ turned.mT
        mixed = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        turned = torch.baddbmm(turned, mixed, turned, beta=a)
    return turned


def newton_schulz_flops(rows: int, columns: int) -> int:
    """Return the operations for one matrix: two products with it and one of its Gram matrix."""
    short, long = sorted((rows, columns))
    return STEPS * (4 * short * short * long + 2 * short**3)


def owners(shapes: Sequence[tuple[int, int]], world: int) -> tuple[int, ...]:
    """Return which of `world` processes works out each matrix: the costliest first, to the idlest.

    The same answer everywhere, so nothing needs to be agreed on.
    """
    load, owner = [0] * world, [0] * len(shapes)
    costs = [newton_schulz_flops(*shape) for shape in shapes]
    for place in sorted(range(len(shapes)), key=lambda place: -costs[place]):
        owner[place] = load.index(min(load))
        load[owner[place]] += costs[place]
    return tuple(owner)


def alone(_updates: list[Tensor]) -> None:
    """Share with nobody: this process worked everything out."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, at the root mean square of an AdamW update.

    So a rate and a weight decay that suit AdamW suit it as well.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype | None = None,
        rank: int = 0,
        world: int = 1,
        share: Share = alone,
    ) -> None:
        """Make the optimiser of some matrices.

        Args:
            parameters: matrices, in the same order in every process.
            lr: the rate.
            momentum: 0..1.
            weight_decay: taken off at each step, times the rate.
            dtype: what to iterate in; None is bf16 on CUDA and fp32 elsewhere.
            rank: of this process.
            world: how many processes there are.
            share: adds up tensors over all processes, in place; those of others are 0 before.

        Raises:
            ValueError: a parameter is no matrix, or `world` processes share with nobody.
        """
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self.momentum, self.dtype, self.share = momentum, dtype, share
        members = [member for group in self.param_groups for member in group["params"]]
        if any(member.ndim != 2 for member in members):  # noqa: PLR2004  a matrix
            raise ValueError("Muon moves matrices only; give the rest to AdamW.")
        if world > 1 and share is alone:
            raise ValueError("Several processes must share their updates; give `share`.")
        owner = owners([(member.shape[0], member.shape[1]) for member in members], world)
        self.mine = {m for m, whose in zip(members, owner, strict=True) if whose == rank}

    @torch.no_grad()
    def step(self, _closure: None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient. There is no closure."""
        for group in self.param_groups:
            members = [member for member in group["params"] if member.grad is not None]
            if not members:
                continue
            updates = self._updates(members)
            self.share(updates)
            for update in updates:
                update.mul_(-group["lr"] * RMS * max(update.shape) ** 0.5)
            here = local(members)
            torch._foreach_mul_(here, 1.0 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(here, [*map(part_of, updates, members)])

    def _updates(self, members: list[nn.Parameter]) -> list[Tensor]:
        """Return the orthogonal update of each whole matrix; zeros where another owns it."""
        gradients = local([member.grad for member in members if member.grad is not None])
        momenta = local([self._momentum(member) for member in members])
        torch._foreach_lerp_(momenta, gradients, 1.0 - self.momentum)
        parts = torch._foreach_lerp(gradients, momenta, self.momentum)  # noqa: SLF001  public in all but name
        ahead = [*map(whole_of, parts, members)]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for place, member in enumerate(members):
            if member in self.mine:
                by_shape.setdefault(tuple(sorted(member.shape)), []).append(place)
        done = {}
        for (_, long), places in by_shape.items():
            wide = [_turned(ahead[place], long) for place in places]
            for place, one in zip(places, self._orthogonal(torch.stack(wide)), strict=True):
                done[place] = _turned(one, ahead[place].shape[1])
        return [done.get(place, torch.zeros_like(whole)) for place, whole in enumerate(ahead)]

    def _orthogonal(self, matrices: Tensor) -> Tensor:
        low = torch.bfloat16 if matrices.is_cuda else torch.float32
        return newton_schulz(matrices.to(self.dtype or low)).to(matrices.dtype)

    def _momentum(self, member: nn.Parameter) -> Tensor:
        state = self.state[member]
        if MOMENTUM not in state:
            state[MOMENTUM] = torch.zeros_like(member)
        kept: Tensor = state[MOMENTUM]
        return kept


def _turned(matrix: Tensor, columns: int) -> Tensor:
    """Return a matrix, turned where it has not so many columns."""
    return matrix if matrix.shape[1] == columns else matrix.mT
