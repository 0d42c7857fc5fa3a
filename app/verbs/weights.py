"""`pramana weights`: which folders of weights lie here, and whether they might teach a model."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from governance.canon import printable

if TYPE_CHECKING:
    from governance.records import RuleResult
    from governance.weights import UsedWeights
    from governance.workspace import Workspace
    from policies.rules import Pack

PACKS = ("commercial",)  # whose rules are asked before anything was audited


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_obj
def weights(workspace: Path, *, as_json: bool) -> None:
    """List the folders of weights below PRAMANA_WEIGHTS, with what a preset has to pin.

    For each: its digest, the licence declared in pramana.toml, and what the policies of the latest
    audit say of a model that it teaches. Nothing is loaded and nothing is downloaded.

    \b
    Example:
        PRAMANA_WEIGHTS=weights/ pramana weights
    """  # noqa: D301  \b is click's mark
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    found = list(_judged(Workspace.at(workspace)))
    if as_json:
        click.echo(json.dumps({"weights": [_record(*one) for one in found]}, ensure_ascii=False))
        return
    for used, results in found:
        click.echo("\n".join(_lines(used, results)))
    if not found:
        click.echo("No folder lies there; put one in the format of transformers into it.")


def _judged(workspace: "Workspace") -> "Iterator[tuple[UsedWeights, list[RuleResult]]]":
    from app.weights import answers, described  # noqa: PLC0415  heavy
    from governance.weights import declared_of  # noqa: PLC0415  heavy
    from training.taught.weights import folder_digest  # noqa: PLC0415  heavy

    declared, packs = workspace.declared().weights, _packs(workspace)
    for folder in sorted(path for path in _place().iterdir() if path.is_dir()):
        sha256 = folder_digest(folder)
        known = declared_of(sha256, declared)
        used = described(known, role="teacher", name=folder.name, sha256=sha256, teaches=True)
        yield used, answers(used, packs, datetime.now(UTC).date())


def _place() -> Path:
    from governance.errors import UsageError  # noqa: PLC0415  heavy
    from training.taught.weights import PLACE  # noqa: PLC0415  heavy

    place = Path(os.environ.get(PLACE, ""))
    if not os.environ.get(PLACE) or not place.is_dir():
        raise UsageError(f"{PLACE} names no folder; set it to where folders of weights lie.")
    return place


def _packs(workspace: "Workspace") -> "list[Pack]":
    from app.clearing import packs_of  # noqa: PLC0415  heavy
    from policies.rules import load_pack  # noqa: PLC0415  heavy

    if workspace.ledger.entries("decided"):
        return packs_of(workspace, workspace.latest_decision())
    return [load_pack(name) for name in PACKS]


def _lines(used: "UsedWeights", results: "list[RuleResult]") -> Iterator[str]:
    yield f"{printable(used.name)}\n  sha256   {used.sha256}"
    yield f"  licence  {used.licence or 'not declared'} ({used.use})"
    against = [result for result in results if result.status == "violated"]
    for result in against:
        yield f"  ✕ {result.id} of {result.policy}: {result.why}"
    if results and not against:
        yield f"  ✓ {len(results)} rules about weights that teach are satisfied"
    if not results:
        yield "  · no rule of the policies speaks of weights that teach"
    if not used.licence:
        yield "  declare it in pramana.toml once you have read its licence:"
        yield f'  [[weights]]\n  name = "{printable(used.name)}"\n  sha256 = "{used.sha256}"'
        yield '  licence = "SPDX-OR-LicenseRef"\n  source = "https://where it is from"'


def _record(used: "UsedWeights", results: "list[RuleResult]") -> dict[str, object]:
    said = {f"{result.policy}/{result.id}": result.status for result in results}
    return {
        "name": used.name,
        "sha256": used.sha256,
        "licence": used.licence,
        "use": used.use,
        "source": used.source,
        "trained_on": used.trained_on,
        "rules": said,
    }
