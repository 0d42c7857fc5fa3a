"""Weights of others: what the operator declares of them, and which a run uses for what.

A folder of weights is known by its digest; its name is only how people call it. What is declared is
the operator's word, and what taught a model is read back from the provenance that the trainer
signed.

Does not see: the folder's bytes, which the trainer hashes as it loads them; nor whether the licence
declared is the licence granted.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from governance.canon import Json, printable
from governance.errors import Tampered, UsageError
from governance.statements import PROVENANCE, payload_of, read_statement

DEPENDENCY: Final = "weights:"  # before the role, in the name of a dependency of a run
FORMS: Final = {
    "name": r"[^/\\\x00-\x1f]{1,200}",
    "sha256": r"[0-9a-f]{64}",
    "licence": r"[A-Za-z0-9.+() -]{1,200}",  # an SPDX expression; what no table knows is unknown
    "source": r"https?://\S{1,500}",
    "trained_on": r"[^\x00-\x1f]{0,500}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredWeights:
    """A table `[[weights]]` of `pramana.toml`; `trained_on` is what is known of that, or ''."""

    name: str
    sha256: str
    licence: str
    source: str
    trained_on: str = ""

    @classmethod
    def read(cls, table: Json) -> Self:
        """Read one table. Raises UsageError for a key that is unknown, missing or ill-formed."""
        known = {field.name for field in fields(cls)}
        if not isinstance(table, Mapping) or not table.keys() <= known:
            raise UsageError(f"[[weights]] in pramana.toml has the keys {_keys()}, no others.")
        said = {"trained_on": "", **table}
        for key in sorted(known):
            value = said.get(key)
            if not isinstance(value, str) or not re.fullmatch(FORMS[key], value):
                raise UsageError(
                    f"A table [[weights]] in pramana.toml has no {key!r} that is one. It has the "
                    f"keys {_keys()}; `pramana weights` prints the digest of a folder."
                )
        return cls(**{key: str(value) for key, value in said.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedWeights:
    """Weights that a run names: by which setting, and what is declared of them; '' if nothing.

    `teaches` says that they shape what is trained; others only judge it. `use` is how the table of
    licences, among the policies' reference data, classes the licence.
    """

    role: str
    name: str
    sha256: str
    licence: str
    use: str
    source: str
    trained_on: str
    teaches: bool

    def to_json(self) -> dict[str, Json]:
        """Return the weights as a fact of a run."""
        return asdict(self)

    @property
    def said(self) -> str:
        """Return all that is known of them, as one line."""
        licence = self.licence or "not declared"
        known = [f"{self.name}, SHA-256 {self.sha256}", f"licence declared: {licence} ({self.use})"]
        known += [self.source] if self.source else []
        known += [f"trained on: {self.trained_on}"] if self.trained_on else []
        return printable("; ".join(known))


def read_declared(tables: Json) -> tuple[DeclaredWeights, ...]:
    """Read all tables `[[weights]]`. Raises UsageError; so does a digest that stands twice."""
    if not isinstance(tables, Sequence) or isinstance(tables, str):
        raise UsageError("pramana.toml has `weights`, which is written as tables [[weights]] only.")
    found = tuple(DeclaredWeights.read(table) for table in tables)
    digests = [weights.sha256 for weights in found]
    twice = sorted({sha256 for sha256 in digests if digests.count(sha256) > 1})
    if twice:
        raise UsageError(
            f"Weights {twice[0][:12]} are declared twice in pramana.toml; keep one table of them."
        )
    return found


def declared_of(sha256: str, declared: Iterable[DeclaredWeights]) -> DeclaredWeights | None:
    """Return what is declared of these bytes, whatever they are called here; None if nothing is."""
    return next((weights for weights in declared if weights.sha256 == sha256), None)


def dependencies(used: Iterable[UsedWeights]) -> list[Json]:
    """Return the weights that taught a model as SLSA resource descriptors, ordered by role."""
    return [
        {
            "name": f"{DEPENDENCY}{weights.role}",
            "digest": {"sha256": weights.sha256},
            "annotations": {
                "name": weights.name,
                "licence": weights.licence,
                "use": weights.use,
                "source": weights.source,
                "trained_on": weights.trained_on,
            },
        }
        for weights in sorted(used, key=lambda weights: weights.role)
        if weights.teaches
    ]


def teachers(provenance: bytes) -> tuple[UsedWeights, ...]:
    """Return which weights taught a model, as an envelope of its provenance says.

    Who signed it is for `verify` to say.

    Raises:
        Tampered: it is no provenance, or its weights do not read.
    """
    _, predicate = read_statement(payload_of(provenance), PROVENANCE)
    return taught_by(predicate)


def taught_by(predicate: Mapping[str, Any]) -> tuple[UsedWeights, ...]:
    """Return which weights taught a model, from a provenance's predicate. Raises Tampered."""
    try:
        rows = predicate.get("buildDefinition", {}).get("resolvedDependencies", [])
        return tuple(
            UsedWeights(
                role=row["name"].removeprefix(DEPENDENCY),
                sha256=row["digest"]["sha256"],
                teaches=True,
                **row["annotations"],
            )
            for row in rows
            if row["name"].startswith(DEPENDENCY)
        )
    except (AttributeError, KeyError, TypeError) as fault:
        raise Tampered(f"The weights in a provenance do not read: {fault!r}.") from None


def used_of(rows: Iterable[Mapping[str, Any]]) -> tuple[UsedWeights, ...]:
    """Read the weights among the facts of a run. Raises Tampered."""
    try:
        return tuple(UsedWeights(**row) for row in rows)
    except TypeError as fault:
        raise Tampered(f"The weights among the facts of a run do not read: {fault}.") from None


def _keys() -> str:
    return ", ".join(field.name for field in fields(DeclaredWeights))
