"""Cases in the main path and on the command line: who answers, what is open, what is told of it.

Does not see: content of a suspected sample. Nothing here reads a picture or a caption.
"""

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

from governance.canon import printable
from governance.cases import COUNSEL, Case, cases, closed, closed_by, open_cases, route
from governance.errors import Refused
from governance.records import Decision
from governance.snapshot import Snapshot
from governance.workspace import CONFIG_FILE, Declared, Workspace

PACK = "child-safety"  # judges every audit, whatever the operator names
SCRAPED_HOSTS = 10  # an operator's reading, not law: from more web hosts than these, it was crawled
_HOST = r"(?i)^\s*https?://(?:[^/?#@]*@)?([^/?#:\s]+)"


def with_child_safety(packs: Sequence[str]) -> tuple[str, ...]:
    """Return the packs with the one that is never left out, first."""
    return (PACK, *(name for name in packs if name != PACK))


def is_scraped(snapshot: Snapshot) -> bool:
    """Say whether a snapshot names web addresses of more than ten hosts as its sources.

    It is read from what the manifest claims; a crawl that kept no addresses is not noticed.
    """
    with duckdb.connect() as connection:
        row = connection.execute(
            "SELECT count(DISTINCT nullif(lower(regexp_extract(source_url, $host, 1)), '')) "
            "FROM read_parquet($path)",
            {"host": _HOST, "path": str(snapshot.folder / "manifest.parquet")},
        ).fetchone()
    return row is not None and row[0] > SCRAPED_HOSTS


def check_contact(declared: Declared, snapshot: Snapshot) -> None:
    """Refuse to measure scraped data for which nobody answers (CS-05). Raises Refused."""
    if not declared.legal_contact.strip() and is_scraped(snapshot):
        raise Refused(
            f"CS-05: these samples come from more than {SCRAPED_HOSTS} web hosts, and nobody is "
            f"named who would take a suspected one to the authorities. Write `legal_contact = "
            f'"name and address"` in {CONFIG_FILE}, then audit again.'
        )


def with_cases(workspace: Workspace, snapshot: Snapshot, samples: pa.Table) -> pa.Table:
    """Open a case for each suspected image, and return the samples with `case_closed` of each.

    It is null for an image that never had a case, in this snapshot or another.
    """
    ledger = workspace.ledger
    open_cases(ledger, samples, snapshot=snapshot.root)
    return samples.append_column("case_closed", closed(cases(ledger), samples["sha256"]))


def check_cleared(workspace: Workspace, decision: Decision) -> None:
    """Refuse what was cleared before one of its images had a case (CS-03).

    Raises:
        Refused: one has.
        EvidenceMissing, Tampered: the cleared samples are gone, or were altered.
    """
    known = {case.sha256 for case in cases(workspace.ledger)}
    if known and known.intersection(workspace.cleared(decision)["sha256"].to_pylist()):
        raise Refused(
            f"CS-03: a case was opened on a sample that decision {decision.id[:12]} had cleared. "
            "Run `pramana audit` again; `pramana case list` names the case."
        )


def case_lines(workspace: Workspace) -> Iterator[str]:
    """Yield lines about each case, the open ones first, and then what a person has to do."""
    known = cases(workspace.ledger)
    for case in sorted(known, key=lambda case: case.closing is not None):
        yield from _told(workspace, case)
    yield from open_notice(workspace) or ["No case is open."]


def open_notice(workspace: Workspace) -> list[str]:
    """Return what to do about open cases; nothing where none is open (CS-04)."""
    count = sum(case.closing is None for case in cases(workspace.ledger))
    if not count:
        return []
    country = workspace.declared().country
    where = f"for an operator in {printable(country)}" if country else "where you are"
    return [
        f"Cases open: {count}. Suspected, not decided; `pramana case list` says by what.",
        "Nothing trains on this data until a person closes each.",
        f"Report {where}: {route(country)}.",
        COUNSEL,
        'Then: pramana case close SHA256 --reference "report no." --by "name"',
    ]


def _told(workspace: Workspace, case: Case) -> Iterator[str]:
    state = "closed" if case.closing else "OPEN"
    yield f"{state:6}  {case.sha256}  {case.rule} {printable(case.by)}"
    yield (
        f"        opened {case.opened_at[:19]} · snapshot {case.snapshot[:12]} · shard "
        f"{case.shard}, row {case.row} · id {printable(case.sample)}"
    )
    if case.closing:
        by, reference = closed_by(workspace, case.closing)
        yield (
            f"        closed {case.closing.at[:19]} by {printable(by)} · "
            f"{case.closing.outcome} · reference {printable(reference)}"
        )
