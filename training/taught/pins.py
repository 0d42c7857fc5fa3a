"""Pins: weights that a preset names without a digest take the one that is declared of their name.

A preset that ships cannot know which bytes a user trusts. What is declared in `pramana.toml` says
it, and the config with these digests is what a clearance binds.

Does not see: the folders. The trainer hashes what it loads and refuses another digest.
"""

from collections.abc import Iterable

from governance.canon import Json
from governance.errors import UsageError
from governance.weights import DeclaredWeights
from training.config import DECLARED, RunConfig


def pinned(config: RunConfig, declared: Iterable[DeclaredWeights]) -> RunConfig:
    """Return the config with every digest filled in.

    Raises:
        UsageError: of a name that it leaves open nothing is declared, or two digests.
    """
    digests: dict[str, list[str]] = {}
    for weights in declared:
        digests.setdefault(weights.name, []).append(weights.sha256)
    left = {w.name for w in config.networks().values() if w.sha256 == DECLARED}
    wrong = sorted(name for name in left if len(digests.get(name, [])) != 1)
    if wrong:
        raise UsageError(
            f"The preset {config.preset} names the weights {', '.join(wrong)}, and pramana.toml "
            "declares no digest of them, or more than one. Write one table [[weights]] of each; "
            "`pramana weights` prints what it needs."
        )
    return RunConfig.from_json(_filled(config.to_json(), {name: digests[name][0] for name in left}))


def _filled(value: Json, digests: dict[str, str]) -> Json:
    """Return settings in which weights that leave their digest open have it."""
    if isinstance(value, dict):
        if value.get("sha256") == DECLARED:
            return {**value, "sha256": digests[str(value["name"])]}
        return {name: _filled(part, digests) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, digests) for part in value]
    return value
