"""Weights on the gate's side: what a run config names, what is declared of it, what policies say.

Does not see: the folders' bytes. The trainer hashes what it loads and refuses another digest.
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from governance.errors import Refused
from governance.records import RuleResult
from governance.weights import DeclaredWeights, UsedWeights, declared_of, used_of
from governance.workspace import Workspace

if TYPE_CHECKING:
    from policies.rules import Pack
    from training.config import RunConfig, WeightsConfig

TEACHES = "weights_"  # how the columns begin that rules read of weights that teach


def weights_of(workspace: Workspace, config: "RunConfig") -> tuple[UsedWeights, ...]:
    """Return the weights that a run names, with what is declared of them, ordered by role.

    Raises:
        Refused: nothing is declared of weights that would teach the model.
        UsageError: pramana.toml does not read.
    """
    judges = {
        "evaluation.extractor": config.evaluation.extractor,
        "evaluation.clip": config.evaluation.clip,
    }
    named = {role: weights for role, weights in judges.items() if weights.name}
    declared, taught = workspace.declared().weights, config.weights()
    used = [_used(role, w, declared, teaches=True) for role, w in taught.items()]
    for weights in used:
        if not weights.licence:
            raise Refused(
                f"The weights {weights.sha256[:12]} of {weights.role} would teach this model, and "
                "pramana.toml declares no licence of theirs. Write a table [[weights]] of them; "
                "`pramana weights` prints what it needs."
            )
    used += [_used(role, w, declared, teaches=False) for role, w in named.items()]
    return tuple(sorted(used, key=lambda weights: weights.role))


def _used(
    role: str, weights: "WeightsConfig", declared: Sequence[DeclaredWeights], *, teaches: bool
) -> UsedWeights:
    known = declared_of(weights.sha256, declared)
    return described(known, role=role, name=weights.name, sha256=weights.sha256, teaches=teaches)


def described(
    known: DeclaredWeights | None, *, role: str, name: str, sha256: str, teaches: bool
) -> UsedWeights:
    """Return weights in a role, with what is declared of them and how that licence is classed."""
    from policies.reference import licence_use  # noqa: PLC0415  heavy

    licence = known.licence if known else ""
    return UsedWeights(
        role=role,
        name=name,
        sha256=sha256,
        licence=licence,
        use=licence_use(licence),
        source=known.source if known else "",
        trained_on=known.trained_on if known else "",
        teaches=teaches,
    )


def check_terms(used: Sequence[UsedWeights], allowed: Sequence[str]) -> None:
    """Hold the weights shown to the gate to those its clearance would allow. Raises Refused."""
    others = sorted({w.sha256 for w in used if w.teaches} ^ set(allowed))
    if others:
        names = ", ".join(name[:12] for name in others)
        raise Refused(
            f"The gate was shown other weights than the terms name ({names}); show it all of them."
        )


def cleared_weights(workspace: Workspace, clearance: str) -> tuple[UsedWeights, ...]:
    """Return the weights the gate weighed when it gave a clearance; none where it kept no facts.

    Raises:
        EvidenceMissing, Tampered: the facts it kept are gone, or were altered.
    """
    from governance.records import json_object  # noqa: PLC0415  heavy

    for entry in workspace.ledger.entries("cleared"):
        if entry.body.get("clearance") == clearance and "facts" in entry.body:
            data = workspace.load(str(entry.body["facts"]), "the facts of a run")
            return used_of(json_object(data, "the facts of a run").get("weights", []))
    return ()


def answers(weights: UsedWeights, packs: Sequence["Pack"], as_of: date) -> list[RuleResult]:
    """Return what the rules about weights that teach say of weights, were they to teach."""
    from policies.decide import judge_run  # noqa: PLC0415  heavy

    about = {
        (pack.id, rule.id)
        for pack in packs
        for rule in pack.rules
        if rule.scope == "run" and any(name.startswith(TEACHES) for name in rule.reads)
    }
    results = judge_run({"weights": [weights.to_json()]}, packs=packs, as_of=as_of)
    return [result for result in results if (result.policy, result.id) in about]
