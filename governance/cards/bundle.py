"""Bundles: a folder an outsider can verify alone, and that stock diffusers can load.

It holds the model as diffusers saved it, the card, the evidence, proofs that the ledger holds each
act, the public keys, and `verify.sh`, which needs only openssl and sha256sum.

Does not see: who the keys belong to. An outsider pins them (`--trust`), or trusts this bundle's.
"""

import base64
import shutil
from functools import partial
from pathlib import Path

from governance import merkle
from governance.canon import Json, canonical, file_sha256, sha256, whole_folder, write_whole
from governance.cards import render
from governance.cards.evidence import FINDINGS_FILE, FOLDER, Evidence, collect, policy_file
from governance.errors import EvidenceMissing, Tampered
from governance.keys import TRUST_FILE, Role, Trust
from governance.ledger import Entry, Ledger
from governance.note import open_note
from governance.records import as_object, json_object
from governance.statements import SVR, open_envelope, read_statement, sign, statement
from governance.verify import (
    CLEARANCE_FILE,
    PROVENANCE_FILE,
    RESULT_FILE,
    Check,
    check_run,
    checked,
)
from governance.workspace import Workspace

CARD, SUMS, CARD_STATEMENT, SCRIPT = "README.md", "SHA256SUMS", "card.json", "verify.sh"
PIPELINE, SAMPLES = "pipeline", "samples.png"
PROOFS, CHECKPOINT = "ledger", "checkpoint.note"
EXPORTER = "https://pramana.dev/card/v1"
UNSUMMED = {SUMS, CARD_STATEMENT}  # one lists the rest, the other signs the list
SIGNED: dict[str, Role] = {
    f"{FOLDER}/{CLEARANCE_FILE}": "gate",
    f"{FOLDER}/{PROVENANCE_FILE}": "trainer",
    CARD_STATEMENT: "card",
}


def make_bundle(workspace: Workspace, run: Path, out: Path) -> Path:
    """Write the bundle of a finished run into a new folder, whole or not at all.

    Raises:
        UsageError: the folder is there already and holds something.
        EvidenceMissing: something the card must show is gone.
        Tampered: something it shows was altered.
    """
    evidence = collect(workspace, run)
    with whole_folder(out) as folder:
        sums = _fill(folder, workspace, run, evidence)
    workspace.ledger.append("card.exported", {"run": run.name, "sums": sha256(sums)})
    return out


def _fill(folder: Path, workspace: Workspace, run: Path, evidence: Evidence) -> bytes:
    """Write all files of a bundle; return its list of digests."""
    shutil.copytree(run / PIPELINE, folder, dirs_exist_ok=True)
    shutil.copyfile(run / SAMPLES, folder / SAMPLES)
    for name, data in evidence.files.items():
        write_whole(folder / FOLDER / name, data)
    trust = workspace.keyring.trust()
    write_whole(folder / TRUST_FILE, trust.to_bytes())
    write_whole(folder / CARD, render.render(evidence).encode())
    for name, data in _ledger_files(workspace.ledger, evidence).items():
        write_whole(folder / PROOFS / name, data)
    for role in ("gate", "trainer", "card"):
        write_whole(folder / f"{role}.pub", trust.of(role)[0].keyval["public"].encode())
    write_whole(folder / SCRIPT, _script().encode(), mode=0o755)
    sums = "".join(f"{file_sha256(folder / name)}  {name}\n" for name in _names(folder)).encode()
    write_whole(folder / SUMS, sums)
    said: dict[str, Json] = {"verifier": {"id": EXPORTER}, "properties": ["PRAMANA_CARD_EXPORTED"]}
    payload = statement(SVR, subjects={SUMS: sha256(sums)}, predicate=said)
    write_whole(folder / CARD_STATEMENT, sign(payload, workspace.keyring.signer("card")))
    return sums


def verify_bundle(folder: Path, pinned: Trust | None = None) -> list[Check]:
    """Verify a bundle with nothing but its bytes and the keys; never stops at a fault.

    Args:
        folder: the bundle.
        pinned: the keys the verifier trusts; None trusts the keys in the bundle itself, which
            proves only that the bundle is of one piece.
    """
    trust = pinned or Trust.from_bytes(_read(folder / TRUST_FILE))
    evidence = Evidence.read(folder / FOLDER)
    checks = (
        ("files: each is the one listed, none was added", partial(_listed, folder)),
        ("list: signed by the card key", partial(_signed_list, folder, trust)),
        ("run: signed by the trainer, cleared by the gate", partial(_run, folder, trust)),
        ("decision: the one cleared, with its findings and policies", partial(_decision, evidence)),
        ("ledger: a signed checkpoint holds each act", partial(_proofs, folder, trust, evidence)),
        ("card: what the evidence says, byte for byte", partial(_card, folder, evidence)),
    )
    return [checked(what, act) for what, act in checks]


def _listed(folder: Path) -> None:
    lines = _read(folder / SUMS).decode().splitlines()
    listed = {name: expected for expected, _, name in (line.partition("  ") for line in lines)}
    odd = sorted(set(_names(folder)) - UNSUMMED ^ set(listed))
    if odd:
        raise Tampered(f"The file {render.plain(odd[0])} is listed and absent, or was added.")
    for name, expected in listed.items():
        if file_sha256(folder / name) != expected:
            raise Tampered(f"The file {render.plain(name)} is not the one that was listed.")


def _signed_list(folder: Path, trust: Trust) -> None:
    payload = open_envelope(_read(folder / CARD_STATEMENT), trust.of("card"))
    subjects, _ = read_statement(payload, SVR)
    if subjects.get(SUMS) != sha256(_read(folder / SUMS)):
        raise Tampered(f"{SUMS} is not the list that was signed.")


def _run(folder: Path, trust: Trust) -> None:
    def locate(name: str) -> Path:
        if name.startswith(f"{PIPELINE}/"):
            return folder / name.removeprefix(f"{PIPELINE}/")
        return folder / name if name == SAMPLES else folder / FOLDER / name

    check_run(locate, trust, sha256(_read(folder / FOLDER / RESULT_FILE)))


def _decision(evidence: Evidence) -> None:
    decision, clearance = evidence.decision(), evidence.clearance()
    if decision.id != clearance.decision or decision.cleared_root != clearance.cleared_root:
        raise Tampered("The decision in the bundle is not the one the clearance names.")
    if evidence.digest(FINDINGS_FILE) != decision.findings:
        raise Tampered("The findings in the bundle are not those the decision names.")
    for policy in decision.policies:
        if evidence.digest(policy_file(policy)) != policy.sha256:
            raise Tampered(f"The policy {policy.id} in the bundle is not the one that judged.")


def _acts(evidence: Evidence) -> dict[str, dict[str, str]]:
    """Return which acts the ledger must hold, by kind, with what each must say."""
    clearance = evidence.clearance()
    return {
        "decided": {"decision": clearance.decision},
        "cleared": {"clearance": clearance.id},
        "clearance.spent": {"clearance": clearance.id},
        "run.finished": {"result": evidence.digest(RESULT_FILE)},
    }


def _ledger_files(ledger: Ledger, evidence: Evidence) -> dict[str, bytes]:
    """Return the checkpoint and, for each act, its leaf with an inclusion proof."""
    note = ledger.note()
    checkpoint = open_note(note, ledger.keys)
    leaves = ledger.leaves()[: checkpoint.size]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    files = {CHECKPOINT: note.encode()}
    for kind, said in _acts(evidence).items():
        number = _number_of(ledger.entries(kind), said)
        proof = merkle.inclusion_proof(hashes, number)
        files[f"{kind}.json"] = canonical(
            {
                "leaf": base64.b64encode(leaves[number]).decode(),
                "number": number,
                "proof": [step.hex() for step in proof],
            }
        )
    return files


def _number_of(entries: list[Entry], said: dict[str, str]) -> int:
    for entry in entries:
        if said.items() <= entry.body.items():
            return entry.number
    raise EvidenceMissing(f"The ledger holds no act on {sorted(said)} of this run; verify it.")


def _proofs(folder: Path, trust: Trust, evidence: Evidence) -> None:
    note = _read(folder / PROOFS / CHECKPOINT).decode()
    checkpoint = open_note(note, trust.of("log"))
    for kind, said in _acts(evidence).items():
        act = json_object(_read(folder / PROOFS / f"{kind}.json"), "a proof")
        try:
            leaf = base64.b64decode(act["leaf"], validate=True)
            number, proof = int(act["number"]), [bytes.fromhex(step) for step in act["proof"]]
        except (KeyError, TypeError, ValueError):
            raise Tampered(f"The proof of {kind} does not read: leaf, number, proof.") from None
        merkle.check_inclusion(
            merkle.leaf_hash(leaf),
            index=number,
            size=checkpoint.size,
            proof=proof,
            expected_root=checkpoint.root,
        )
        entry = json_object(leaf, "a ledger entry")
        if entry.get("kind") != kind or not said.items() <= as_object(entry["body"], kind).items():
            raise Tampered(f"The ledger entry shown for {kind} speaks of something else.")


def _card(folder: Path, evidence: Evidence) -> None:
    if _read(folder / CARD) != render.render(evidence).encode():
        raise Tampered(f"{CARD} does not say what the evidence says; export the card again.")


def _script() -> str:
    """Return a shell script that verifies lists and signatures with openssl and sha256sum alone.

    A DSSE signature is over the pre-authentication encoding (DSSE protocol v1.0.2), which the
    script builds from the envelope's own payload.
    """
    verify = "\n".join(f'dsse "{name}" "{role}.pub"' for name, role in SIGNED.items())
    return f"""#!/bin/sh
# Verifies this bundle with openssl and sha256sum; nothing of ours is needed. Compare the three
# public keys with those you were given by another way.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT

field() {{ sed -n 's/.*"'"$2"'":"\\([^"]*\\)".*/\\1/p' "$1"; }}

dsse() {{
  field "$1" payload | openssl base64 -d -A >"$scratch/payload"
  field "$1" sig | openssl base64 -d -A >"$scratch/sig"
  kind=$(field "$1" payloadType)
  printf 'DSSEv1 %d %s %d ' "${{#kind}}" "$kind" "$(wc -c <"$scratch/payload")" >"$scratch/pae"
  cat "$scratch/payload" >>"$scratch/pae"
  printf '%s: ' "$1"
  openssl dgst -sha256 -verify "$2" -signature "$scratch/sig" "$scratch/pae"
}}

sha256sum --quiet -c {SUMS}
echo "{SUMS}: every file is the one listed"
{verify}
grep -q "$(sha256sum {SUMS} | cut -d' ' -f1)" "$scratch/payload"
echo "{CARD_STATEMENT}: signs this list"
"""


def _names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise EvidenceMissing(f"The bundle has no {path.name}; ask for the whole bundle.")
    return path.read_bytes()
