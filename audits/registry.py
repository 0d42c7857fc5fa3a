"""The audits, in the order their columns stand and their findings print.

Duplicates come first: what they relate is there when the others conclude. Adding an audit is adding
it here. Does not see: what any of them measures.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from audits.audit import Audit
from audits.bias import BiasAudit
from audits.duplicates import DuplicatesAudit
from audits.licence import LicenceAudit
from audits.locality import LocalityAudit
from audits.nsfw import NsfwAudit
from audits.personal import PersonalAudit
from audits.quality import QualityAudit
from governance.canon import Json
from governance.errors import UsageError

AUDITS: tuple[Audit, ...] = (
    DuplicatesAudit(),
    LicenceAudit(),
    NsfwAudit(),
    BiasAudit(),
    PersonalAudit(),
    LocalityAudit(),
    QualityAudit(),
)

# Who can be set by a table [audits.NAME] of pramana.toml: its name, and what reads the table.
Reader = Callable[[Mapping[str, Json], Path], Audit]
SETTABLE: Mapping[str, Reader] = {
    "licence": LicenceAudit.of,
    "duplicates": DuplicatesAudit.of,
    "nsfw": NsfwAudit.of,
    "locality": LocalityAudit.of,
    "quality": QualityAudit.of,
    "personal": PersonalAudit.of,
}


def audits_of(
    tables: Mapping[str, Mapping[str, Json]], *, folder: Path, salt: bytes | None = None
) -> tuple[Audit, ...]:
    """Return the audits with the operator's settings.

    Args:
        tables: settings by the name of an audit.
        folder: where relative paths in them begin.
        salt: the workspace's secret under which values of persons are digested; None digests none.

    Raises:
        UsageError: an audit is not known or has no such setting. What the audits raise passes.
    """
    if unknown := sorted(set(tables) - set(SETTABLE)):
        raise UsageError(
            f"pramana.toml sets [audits.{unknown[0][:40]}]; audits with settings are "
            f"{', '.join(sorted(SETTABLE)) or 'none'}."
        )
    chosen = (
        SETTABLE[audit.name](tables[audit.name], folder) if audit.name in tables else audit
        for audit in AUDITS
    )
    return tuple(
        replace(audit, salt=salt) if isinstance(audit, PersonalAudit) else audit for audit in chosen
    )
