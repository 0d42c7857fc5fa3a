"""The usage policy that ships with a model: `usage_policy.md`, copied beside the weights.

Does not see: whether anybody keeps to it. The sampler enforces what the policy itself names.
"""

from pathlib import Path

from governance.canon import file_sha256, write_whole
from governance.cards.evidence import USAGE_POLICY

POLICY_FILE = USAGE_POLICY  # the card links it
SHIPPED = Path(__file__).parents[1] / POLICY_FILE


def write_policy(folder: Path) -> None:
    """Write the policy that ships into a folder of weights."""
    write_whole(folder / POLICY_FILE, SHIPPED.read_bytes())


def policy_sha256(folder: Path) -> str:
    """Return the digest of the policy beside some weights; '' where none is."""
    path = folder / POLICY_FILE
    return file_sha256(path) if path.is_file() else ""
