"""The evidence behind a card: the files, by name, that every field of it is read from.

The same set is collected from a workspace and read back from a bundle, so a card can be rendered
again by whoever holds the bundle and compared byte for byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Self

from governance.canon import canonical, parse_json, sha256
from governance.clearance import Clearance, read_clearance
from governance.errors import EvidenceMissing, Tampered
from governance.records import Decision, Finding, PolicyUsed, as_object, json_object
from governance.statements import payload_of
from governance.verify import CLEARANCE_FILE, PROVENANCE_FILE, RESULT_FILE
from governance.workspace import Workspace

FOLDER = "evidence"
RUN_RECORDS = (RESULT_FILE, "config.json", "receipts.jsonl", "metrics.jsonl")
RUN_FILES = (CLEARANCE_FILE, PROVENANCE_FILE, *RUN_RECORDS)
OPTIONAL_RUN_FILES = ("evaluation.json",)
DECISION_FILE = "decision.json"
FINDINGS_FILE = "findings.json"
DECLARED_FILE = "declared.json"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence files by name, as bytes. Whoever reads a field can name the digest behind it."""

    files: Mapping[str, bytes]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the evidence folder of a bundle."""
        paths = sorted(p for p in folder.rglob("*") if p.is_file())
        return cls({p.relative_to(folder).as_posix(): p.read_bytes() for p in paths})

    def digest(self, name: str) -> str:
        """Return the SHA-256 of an evidence file."""
        return sha256(self._bytes(name))

    def json(self, name: str) -> dict[str, Any]:
        """Return an evidence file as a JSON object; an optional one that is absent is empty."""
        if name not in self.files and name in OPTIONAL_RUN_FILES:
            return {}
        return json_object(self._bytes(name), name)

    def decision(self) -> Decision:
        """Return the decision the run was cleared under."""
        return Decision.from_json(parse_json(self._bytes(DECISION_FILE)))

    def findings(self) -> list[Finding]:
        """Return the findings the decision stands on."""
        found = parse_json(self._bytes(FINDINGS_FILE))
        if not isinstance(found, list):
            raise Tampered("The findings are not a list; restore them.")
        try:
            rows = [as_object(row, "a finding") for row in found]
            return [Finding(**{**row, "ids": tuple(row["ids"])}) for row in rows]
        except (KeyError, TypeError) as fault:
            raise Tampered(f"A finding lacks or adds a field: {fault}.") from None

    def clearance(self) -> Clearance:
        """Return the clearance. Who signed it is for `verify` to say."""
        return read_clearance(payload_of(self._bytes(CLEARANCE_FILE)))

    def _bytes(self, name: str) -> bytes:
        if name not in self.files:
            raise EvidenceMissing(f"The evidence {name} is not there; export the card again.")
        return self.files[name]


def policy_file(policy: PolicyUsed) -> str:
    """Return the name under which the text of a policy, or a table it used, is evidenced."""
    return f"policies/{policy.id}{PurePath(policy.source).suffix}"


def collect(workspace: Workspace, run: Path) -> Evidence:
    """Collect the evidence of a finished run. Raises EvidenceMissing, Tampered."""
    files: dict[str, bytes] = {}
    for name in (*RUN_FILES, *OPTIONAL_RUN_FILES):
        path = run / name
        if path.is_file():
            files[name] = path.read_bytes()
        elif name in RUN_FILES:
            raise EvidenceMissing(
                f"Run {run.name} has no {name}: it has not ended. Run `pramana train` to resume it."
            )
    clearance = read_clearance(payload_of(files[CLEARANCE_FILE]))
    decision = workspace.decision(clearance.decision)
    files[DECISION_FILE] = canonical(decision.to_json())
    files[FINDINGS_FILE] = workspace.load(decision.findings, "the findings")
    files[DECLARED_FILE] = canonical(workspace.declared().facts)
    for policy in decision.policies:
        files[policy_file(policy)] = workspace.load(policy.sha256, policy.id)
    return Evidence(files)
