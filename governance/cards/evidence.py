"""The evidence behind a card: the files, by name, that every field of it is read from.

The same set is collected from a workspace (`collect`) and read back from a bundle, so a card can be
rendered again by whoever holds the bundle and compared byte for byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any, Self

from governance.attest import DRAWN
from governance.canon import Json, code_digest, parse_json, sha256
from governance.clearance import Clearance, read_clearance
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.records import Decision, Finding, PolicyUsed, as_object, json_object
from governance.signers.trust import TRUST_FILE, Trust
from governance.statements import payload_of
from governance.verify import CLEARANCE_FILE, PROVENANCE_FILE, RESULT_FILE

FOLDER = "evidence"
DECISION_FILE = "decision.json"
DECISION_STATEMENT = "decision.sigstore.json"
AUDIT_STATEMENT = "audits.sigstore.json"
FINDINGS_FILE = "findings.json"
DECLARED_FILE = "declared.json"
CONFIG_FILE = "config.json"
EVALUATION_FILE = "evaluation.json"
WITHDRAWALS_FILE = "withdrawals.json"  # what was withdrawn since; absent when nothing was
RUN_FILES = (
    CLEARANCE_FILE,
    PROVENANCE_FILE,
    RESULT_FILE,
    CONFIG_FILE,
    "receipts.jsonl",
    "metrics.jsonl",
)
OPTIONAL_RUN_FILES = (EVALUATION_FILE,)
OPTIONAL_FILES = (*OPTIONAL_RUN_FILES, DRAWN)
EXPORTER_FILE = "exporter.json"  # which program rendered card and bill of materials
CHECKPOINT = "ledger/checkpoint"  # a C2SP signed note
MODEL_INDEX = "model_index.json"
USAGE_POLICY = "usage_policy.md"  # beside the weights; its digest is in the result
BESIDE = (TRUST_FILE, CHECKPOINT, MODEL_INDEX)  # evidence that lies elsewhere in a bundle


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence files by name, as bytes. Whoever reads a field can name the digest behind it."""

    files: Mapping[str, bytes]

    @classmethod
    def read(cls, bundle: Path) -> Self:
        """Read the evidence in a bundle."""
        folder = bundle / FOLDER
        paths = sorted(p for p in folder.rglob("*") if p.is_file())
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}
        beside = {name: bundle / name for name in BESIDE if (bundle / name).is_file()}
        return cls({**files, **{name: path.read_bytes() for name, path in beside.items()}})

    def bytes_of(self, name: str) -> bytes:
        """Return an evidence file. Raises EvidenceMissing."""
        if name not in self.files:
            raise EvidenceMissing(f"The evidence {name} is not there; export the card again.")
        return self.files[name]

    def digest(self, name: str) -> str:
        """Return the SHA-256 of an evidence file."""
        return sha256(self.bytes_of(name))

    def json(self, name: str) -> dict[str, Any]:
        """Return an evidence file as a JSON object; an optional one that is absent is empty."""
        if name not in self.files and name in OPTIONAL_FILES:
            return {}
        return json_object(self.bytes_of(name), name)

    def declared(self, name: str) -> str:
        """Return what the operator declared under a name; '' where nothing was."""
        return str(self.json(DECLARED_FILE).get(name) or "")

    def decision(self) -> Decision:
        """Return the decision the run was cleared under."""
        return Decision.from_json(self.json(DECISION_FILE))

    def findings(self) -> list[Finding]:
        """Return the findings the decision stands on."""
        try:
            rows = self._rows(FINDINGS_FILE)
            return [Finding(**{**row, "ids": tuple(row["ids"])}) for row in rows]
        except (KeyError, TypeError) as fault:
            raise Tampered(f"A finding lacks or adds a field: {fault}.") from None

    def clearance(self) -> Clearance:
        """Return the clearance. Who signed it is for `verify` to say."""
        return read_clearance(payload_of(self.bytes_of(CLEARANCE_FILE)))

    def trust(self) -> Trust:
        """Return the bundle's own trust file, which is of one piece. Raises Tampered, Refused."""
        return Trust.from_bytes(self.bytes_of(TRUST_FILE))

    def withdrawals(self) -> list[dict[str, Any]]:
        """Return what was withdrawn since the samples were cleared, oldest first."""
        return self._rows(WITHDRAWALS_FILE) if WITHDRAWALS_FILE in self.files else []

    def path(self, name: str) -> str:
        """Return where in a bundle an evidence file lies."""
        return name if name in BESIDE else f"{FOLDER}/{name}"

    def _rows(self, name: str) -> list[dict[str, Any]]:
        try:
            found = parse_json(self.bytes_of(name))
        except UsageError as fault:
            raise Tampered(f"{name} does not read. {fault}") from None
        if not isinstance(found, list):
            raise Tampered(f"{name} is not a list; restore it.")
        return [as_object(row, f"a row of {name}") for row in found]


def policy_file(policy: PolicyUsed) -> str:
    """Return the name under which the text of a policy, or a table it used, is evidenced."""
    return f"policies/{policy.id}{PurePath(policy.source).suffix}"


def exporter() -> dict[str, Json]:
    """Return which program renders here: its version, and a digest of the code of its cards."""
    return {"version": version("pramana"), "code": code_digest(Path(__file__).parent)}
