"""A workspace: the folder where a project's evidence lies, and what its operator declares.

`pramana.toml` is the operator's word (who, where); `.pramana/` is what the program keeps. Nothing
here decides anything; it only knows places.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

import pyarrow as pa

from governance.canon import Json, canonical, file_sha256, parse_json, sha256, write_whole
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.records import FINISHED, Decision
from governance.signers.keys import Keyring
from governance.snapshot import MANIFEST, Snapshot, check_sorted, read_table, samples_root
from governance.trail.database import file_url
from governance.trail.ledger import Ledger
from governance.trail.memory import Memory
from governance.weights import DeclaredWeights, read_declared

CONFIG_FILE = "pramana.toml"
STATE_FOLDER = ".pramana"
LEDGER_VARIABLE = "PRAMANA_LEDGER"
TABLES = ("audits", "weights")
NO_CONFIG = """\
# What the operator of this workspace declares. Empty means: not declared, and rules that need it
# are then violated.
operator = ""         # who answers for the data
contact = ""          # where a person can write to
legal_contact = ""    # who takes a suspected item to the authorities
data_owner = ""       # who owns the data, by their name in the trust file; may approve no waiver
country = ""          # ISO 3166-1 alpha-2 of the operator, for example IN
storage_region = ""   # where this folder lies, for example IN or aws:ap-south-1
compute_region = ""   # where training runs
attest_host = false   # ask the cloud's metadata service of this machine whether it runs there
hourly_rate = ""      # what this machine costs an hour, for example 300 INR
rights_days = 0       # days to answer who withdraws data; 0: what the law gives, a month at most

# Settings of single audits stand in tables of their own, [audits.locality] for one; see docs/.
# Weights that teach a model, a table each: [[weights]] name, sha256, licence, source, trained_on.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What `pramana.toml` says. Empty text means that nothing was declared.

    `audits` holds the tables `[audits.NAME]`, which the audit of that name reads; `weights` what is
    known of folders of weights, from the tables `[[weights]]`.
    """

    operator: str = ""
    contact: str = ""
    legal_contact: str = ""
    data_owner: str = ""
    country: str = ""
    storage_region: str = ""
    compute_region: str = ""
    attest_host: bool = False
    hourly_rate: str = ""
    rights_days: int = 0
    audits: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    weights: tuple[DeclaredWeights, ...] = ()

    @property
    def facts(self) -> dict[str, Json]:
        """What may be shown to anybody: all but the tables; those of audits name local files."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in TABLES}


@dataclass(frozen=True, slots=True)
class Workspace:
    """Places in a workspace folder."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return the workspace at a folder, making its state folder and config when absent."""
        (folder / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
        if not (folder / CONFIG_FILE).exists():
            write_whole(folder / CONFIG_FILE, NO_CONFIG.encode())
        return cls(folder)

    @property
    def state(self) -> Path:
        """Where the program keeps its own files."""
        return self.folder / STATE_FOLDER

    @property
    def snapshots(self) -> Path:
        """Where snapshots lie, each in a folder named by its root."""
        return self.state / "snapshots"

    @property
    def runs(self) -> Path:
        """Where runs lie, each in a folder named by its id."""
        return self.state / "runs"

    @property
    def keyring(self) -> Keyring:
        """The private keys of this workspace."""
        return Keyring(self.state / "keys")

    @property
    def salt(self) -> Path:
        """Where the secret lies with which personal values are digested; erasing it unlinks."""
        return self.state / "keys" / "personal.salt"

    @property
    def salts(self) -> Path:
        """Where the salts of people's tags lie, a file each; erasing one unlinks its person."""
        return self.state / "keys" / "salts"

    @property
    def data_keys(self) -> Path:
        """Where the keys of encrypted snapshots lie, a table each; their keeper reads them."""
        return self.state / "keys" / "data"

    @property
    def memory(self) -> Memory:
        """What this user last saw of this workspace."""
        return Memory.of(self.folder)

    @property
    def ledger_url(self) -> str:
        """Where the ledger lies: PRAMANA_LEDGER (a database's URL), else a file in this folder."""
        return os.environ.get(LEDGER_VARIABLE) or file_url(self.state / "ledger.db")

    @property
    def ledger(self) -> Ledger:
        """The ledger of this workspace."""
        keyring, trust = self.keyring, self.keyring.trust()
        return Ledger(
            self.ledger_url, trust.origin, tuple(trust.of("log")), lambda: keyring.signer("log")
        )

    def declared(self) -> Declared:
        """Return what the operator declares. Raises UsageError on an unknown or ill-typed key."""
        path = self.folder / CONFIG_FILE
        try:
            found = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as fault:
            raise UsageError(f"{CONFIG_FILE} is not TOML: {fault}.") from None
        known = Declared().facts
        tables = found.get("audits", {})
        for key, value in found.items():
            if key not in TABLES and type(value) is not type(known.get(key)):
                raise UsageError(
                    f"{CONFIG_FILE} has {key!r}; known are {', '.join(sorted(known))}, each a text "
                    "(attest_host is true or false, rights_days a whole number), and tables "
                    "[audits.NAME] and [[weights]]."
                )
        if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
            raise UsageError(f"{CONFIG_FILE} has `audits`, which holds tables [audits.NAME] only.")
        return Declared(**{**found, "weights": read_declared(found.get("weights", []))})

    def measures(self, snapshot: str, audits: str) -> Path:
        """Return where the measures of a snapshot under an audit configuration lie."""
        return self.state / "measures" / snapshot / audits

    def recorded_parts(self, snapshot: str, audits: str) -> dict[str, str]:
        """Return the measured parts the ledger knows of: part name to SHA-256."""
        return {
            str(entry.body["part"]): str(entry.body["sha256"])
            for entry in self.ledger.entries("measured")
            if (entry.body["snapshot"], entry.body["audits"]) == (snapshot, audits)
        }

    def store(self, data: bytes) -> str:
        """Keep bytes under their digest, read-only, and return it."""
        name = sha256(data)
        path = self._object_path(name)
        if not path.exists():
            write_whole(path, data, mode=0o444)
        return name

    def load(self, name: str, what: str) -> bytes:
        """Return kept bytes. Raises EvidenceMissing, Tampered."""
        path = self._object_path(name)
        if not path.is_file():
            raise EvidenceMissing(f"The bytes of {what} ({name[:12]}) are gone; restore them.")
        data = path.read_bytes()
        if sha256(data) != name:
            raise Tampered(f"The bytes of {what} were altered since they were kept ({name[:12]}).")
        return data

    def decision_folder(self, decision: str) -> Path:
        """Return where a decision and its two tables lie."""
        return self.state / "decisions" / decision

    def decision(self, name: str) -> Decision:
        """Return a decision. Raises EvidenceMissing, Tampered."""
        path = self.decision_folder(name) / "decision.json"
        if not path.is_file():
            raise EvidenceMissing(f"There is no decision {name[:12]}; run `pramana audit`.")
        if file_sha256(path) != name:
            raise Tampered(f"Decision {name[:12]} was altered; run `pramana audit` again.")
        return Decision.from_json(parse_json(path.read_bytes()))

    def cleared(self, decision: Decision) -> pa.Table:
        """Return the cleared samples of a decision. Raises EvidenceMissing, Tampered."""
        table = read_table(self.decision_folder(decision.id) / "cleared.parquet", MANIFEST)
        if samples_root(table) != decision.cleared_root:
            raise Tampered(
                f"The cleared samples of decision {decision.id[:12]} were altered: their root is "
                f"not {decision.cleared_root[:12]}. Run `pramana audit` again."
            )
        check_sorted(table)
        return table

    def latest_decision(self) -> Decision:
        """Return the decision made last. Raises EvidenceMissing when there is none."""
        made = self.ledger.entries("decided")
        if not made:
            raise EvidenceMissing("Nothing was audited here yet; run `pramana audit SOURCE`.")
        return self.decision(str(made[-1].body["decision"]))

    def snapshot(self, root: str) -> Snapshot:
        """Return a snapshot by its root. Raises EvidenceMissing, Tampered."""
        return Snapshot.open(self.snapshots / root)

    def run_folder(self, name: str) -> Path:
        """Return the folder of the one run whose id begins with `name`, or of the `latest` to end.

        Raises:
            UsageError: none or several do.
        """
        ended = self.ledger.entries(FINISHED)
        if name == "latest" and ended:
            name = str(ended[-1].body["run"])
        found = sorted(p for p in self.runs.glob("*") if p.is_dir() and p.name.startswith(name))
        if len(found) != 1:
            known = ", ".join(p.name for p in sorted(self.runs.glob("*"))) or "none"
            raise UsageError(f"{len(found)} runs begin with {name!r}; the runs here: {known}.")
        return found[0]

    def _object_path(self, name: str) -> Path:
        return self.state / "objects" / "sha256" / name[:2] / name


def write_json(path: Path, value: Mapping[str, Json]) -> str:
    """Write canonical JSON whole or not at all, and return its SHA-256."""
    data = canonical(value)
    write_whole(path, data)
    return sha256(data)
