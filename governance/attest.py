"""What is said of audits and decisions under a signature, in the predicates others can read.

The auditor's key signs a test-result: which snapshot was measured, by which code, with which
coverage. The gate's key signs a summary verification result (svr): which samples were cleared,
under which policies.

Does not see: whether an audit measured well. It says what was run, and over what.
"""

from collections.abc import Mapping, Sequence

from governance.canon import Json, sha256
from governance.errors import Tampered
from governance.records import Decision, as_object, json_object
from governance.statements import SVR, TEST_RESULT, read_statement, statement

GATE = "https://pramana.dev/gate/v1"
SNAPSHOT, CLEARED, DECISION = "snapshot", "cleared-samples", "decision.json"
DRAWN = "drawn.json"


def audited(decision: Decision, audits: Sequence[str]) -> bytes:
    """Return the payload that says what was measured, for the auditor to sign.

    Every audit measured every sample, or there would be no decision.

    Source: in-toto attestation framework, predicate test-result v0.1.
    """
    configuration: list[Json] = [
        _resource("audit-settings", decision.audits),
        _resource("audit-code", decision.audit_code),
    ]
    said: dict[str, Json] = {
        "measures": decision.measures,
        "findings": decision.findings,
        "coverage": f"{decision.samples}/{decision.samples}",
    }
    predicate: dict[str, Json] = {
        "result": "PASSED",
        "configuration": configuration,
        "passedTests": [f"{name} measured every sample" for name in audits],
        "warnedTests": [],
        "failedTests": [],
        "pramana": said,
    }
    return statement(TEST_RESULT, subjects={SNAPSHOT: decision.snapshot}, predicate=predicate)


def drew(record: bytes) -> bytes:
    """Return the payload that says what was measured of a run's pictures, for the auditor to sign.

    Args:
        record: `drawn.json`, canonical.

    Source: in-toto attestation framework, predicate test-result v0.1.
    """
    said = json_object(record, DRAWN)
    audits = as_object(said["audits"], "the audits of what was drawn")
    configuration: list[Json] = [
        _resource("audit-settings", str(audits["settings"])),
        _resource("audit-code", str(audits["code"])),
    ]
    predicate: dict[str, Json] = {
        "result": "PASSED",
        "configuration": configuration,
        "passedTests": [f"{name} measured every picture drawn" for name in audits["names"]],
        "warnedTests": [],
        "failedTests": [],
        "pramana": {"run": said["run"], "measures": audits["measures"]},
    }
    subjects = {DRAWN: sha256(record), SNAPSHOT: str(said["snapshot"])}
    return statement(TEST_RESULT, subjects=subjects, predicate=predicate)


def decided(decision: Decision, *, at: str) -> bytes:
    """Return the payload that says what was decided, for the gate to sign.

    Source: in-toto attestation framework, predicate svr v0.2.
    """
    subjects = {CLEARED: decision.cleared_root, DECISION: decision.id}
    said: dict[str, Json] = {
        "decision": decision.id,
        "snapshot": decision.snapshot,
        "samples": decision.samples,
        "cleared": decision.cleared,
        "verdict": decision.verdict,
        "waivers": decision.waivers,
    }
    return statement(SVR, subjects=subjects, predicate=judged(decision, at=at, said=said))


def check_audited(payload: bytes, decision: Decision) -> None:
    """Hold what the auditor signed to a decision. Raises Tampered when it is of another."""
    subjects, predicate = read_statement(payload, TEST_RESULT)
    said = as_object(predicate.get("pramana"), "what the auditor said")
    signed = (subjects.get(SNAPSHOT), said.get("findings"), said.get("measures"))
    if signed != (decision.snapshot, decision.findings, decision.measures):
        raise Tampered("The auditor signed for another snapshot, or for other findings.")


def check_drew(payload: bytes, record: bytes) -> None:
    """Hold what the auditor signed to a record of what was drawn. Raises Tampered."""
    subjects, _ = read_statement(payload, TEST_RESULT)
    snapshot = json_object(record, DRAWN).get("snapshot")
    if subjects != {DRAWN: sha256(record), SNAPSHOT: snapshot}:
        raise Tampered(f"The auditor signed for another {DRAWN}; run `pramana evaluate` again.")


def check_decided(payload: bytes, decision: Decision) -> None:
    """Hold what the gate signed to a decision. Raises Tampered when it is another."""
    subjects, _ = read_statement(payload, SVR)
    if subjects != {CLEARED: decision.cleared_root, DECISION: decision.id}:
        raise Tampered("The decision is not the one that the gate signed.")


def judged(decision: Decision, *, at: str, said: Mapping[str, Json]) -> dict[str, Json]:
    """Return the svr predicate of the gate: who verified, under which policies, with what result.

    Args:
        decision: what the policies concluded.
        at: UTC, ISO 8601.
        said: what the gate says beside it.
    """
    verdict = _word(decision.verdict)
    return {
        "verifier": {
            "id": GATE,
            "policies": [_resource(f"{p.id}@{p.version}", p.sha256) for p in decision.policies],
        },
        "timeCreated": at,
        "properties": [f"PRAMANA_{_word(p.id)}_{verdict}" for p in decision.policies],
        "pramana": said,
    }


def _resource(name: str, digest: str) -> dict[str, Json]:
    return {"name": name, "digest": {"sha256": digest}}


def _word(text: str) -> str:
    return text.upper().replace("-", "_")
