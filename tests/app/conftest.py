"""A small workspace with real keys, a real ledger and real statements, as the screens meet it."""

import io
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from governance.attest import audited, decided
from governance.canon import canonical, digest, file_sha256, sha256, write_whole
from governance.cards.bundle import (
    CARD_STATEMENT,
    SUMS,
    listing,
    make_bundle,
    signed_listing,
)
from governance.clearance import Terms, issue, read_clearance
from governance.records import Decision, Finding, PolicyUsed, RuleResult, findings_bytes
from governance.signers.keys import Keyring
from governance.snapshot import MANIFEST, samples_root, seal, write_table
from governance.statements import PROVENANCE, payload_of, sign, statement
from governance.trail import merkle
from governance.trail.ledger import Ledger
from governance.trail.note import Checkpoint, sign_note
from governance.trail.proofs import ProofFile
from governance.workspace import Workspace, write_json
from training.records.record import Result

SAMPLES, STEPS = 480, 640
RUN = "run-2026-11-23-micro"
BEGIN = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
AUDITS = ("licence", "nsfw", "duplicates", "bias", "locality", "quality")
MODEL = {  # a pipeline, as far as a bundle looks into it
    "pipeline/model_index.json": b'{"_class_name":"PRXPixelPipeline"}',
    "pipeline/transformer/config.json": b"{}",
    "pipeline/transformer/diffusion_pytorch_model.safetensors": bytes(4096),
}
EXCLUDED = pa.schema([(c, pa.string()) for c in ("id", "policy", "rule", "remedy", "why")])
DROPS = {  # rule: policy, remedy, every n-th sample, why
    "COM-LICENCE-FORBIDDEN": ("commercial", "exclude", 9, "a non-commercial licence forbids this"),
    "COM-LICENCE-DISPUTED": (
        "commercial",
        "quarantine",
        21,
        "share-alike needs a person's decision",
    ),
    "COM-DUPLICATE": ("commercial", "exclude", 16, "another sample has the same picture"),
    "COM-OPTOUT": ("commercial", "exclude", 60, "the file reserves text and data mining"),
}

Build = Callable[..., Workspace]


@pytest.fixture(scope="session")
def build() -> Build:
    """Make a workspace in a folder; `hostile` is what an attacker wrote wherever a dataset can."""
    return _build


@pytest.fixture(scope="session")
def workspace(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with one blocked and one passing decision and a finished run. Do not alter it."""
    return build(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def copy(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A workspace that a test may alter."""
    shutil.copytree(workspace.folder, tmp_path / "copy")
    return Workspace(tmp_path / "copy")


@pytest.fixture(scope="session")
def exported(build: Build, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    """A workspace and the bundle of its run. Do not alter either."""
    made = build(tmp_path_factory.mktemp("exported"))
    return made, make_bundle(made, made.runs / RUN, made.folder / "card")


@pytest.fixture
def bundle(exported: tuple[Workspace, Path], tmp_path: Path) -> Path:
    """A bundle that a test may alter; beside it lie the keys it was made with."""
    shutil.copytree(exported[0].keyring.folder, tmp_path / "keys")
    return Path(shutil.copytree(exported[1], tmp_path / "bundle"))


@pytest.fixture
def insider(tmp_path: Path) -> Callable[[Path], None]:
    """List and sign an altered bundle anew, as an insider does who holds the card key."""
    signer = Keyring(tmp_path / "keys").signer

    def sign_anew(bundle: Path) -> None:
        write_whole(bundle / SUMS, listing(bundle))
        signed = sign(signed_listing((bundle / SUMS).read_bytes()), signer("card"))
        write_whole(bundle / CARD_STATEMENT, signed)

    return sign_anew


@pytest.fixture
def forge_log() -> Callable[..., None]:
    """Write another log into a bundle, with the log's own key, as whoever holds that can."""
    return _forge_log


def _forge_log(bundle: Path, *, origin: str = "", number: int = 5) -> None:
    """Under another name, or with act 5 misnumbered."""
    folder = bundle / "ledger"
    said = Checkpoint.parse((folder / "checkpoint").read_text().partition("\n\n")[0] + "\n")
    leaves = [b"whatever"] * said.size
    for leaf in folder.glob("*.leaf"):
        proof = ProofFile.parse(leaf.with_suffix(".tlog-proof").read_bytes())
        data = leaf.read_bytes().replace(b'"number":5}', b'"number":%d}' % number)
        leaf.write_bytes(data)
        leaves[proof.index] = data
    tree = merkle.Tree.of(leaves)
    root = merkle.root_of(tree.node, said.size)
    made = Checkpoint(origin=origin or said.origin, size=said.size, root=root)
    note = sign_note(made, Keyring(bundle.parent / "keys").signer("log"))
    (folder / "checkpoint").write_text(note)
    for path in folder.glob("*.tlog-proof"):
        index = ProofFile.parse(path.read_bytes()).index
        steps = merkle.inclusion_proof(tree.node, index, said.size)
        path.write_text(ProofFile(index=index, path=tuple(steps), note=note).text())


def _as_it_is(_workspace: Workspace, _ledger: Ledger, decision: Decision) -> Decision:
    return decision


def _build(
    folder: Path, *, hostile: str = "=1+1", amend: Callable[..., Decision] = _as_it_is
) -> Workspace:
    workspace = Workspace.at(folder)
    ledger = replace(workspace.ledger, now=_Clock())
    write_whole(folder / "pramana.toml", b'operator = "Asha Research"\ncountry = "IN"\n')
    snapshot = seal(workspace.snapshots, rows=_samples(hostile), shards=(), sources=("scenes",))
    ledger.append("sealed", {"snapshot": snapshot.root, "samples": snapshot.samples})
    for part in ("part-00000-000000.parquet", "part-00000-000512.parquet"):
        measured = {"snapshot": snapshot.root, "audits": digest("audits"), "part": part}
        ledger.append("measured", {**measured, "sha256": sha256(part.encode())})
    manifest = snapshot.manifest()
    blocked = _decide(
        workspace, ledger, _decision(manifest, hostile, blocked=True), manifest, hostile
    )
    made = amend(workspace, ledger, _decision(manifest, hostile))
    passing = _decide(workspace, ledger, made, manifest, hostile)
    assert blocked.id != passing.id
    _run(workspace, ledger, passing)
    return workspace


class _Clock:
    """Time goes on by 17 s an act, so that no two acts stand at one time."""

    def __init__(self) -> None:
        self.acts = 0

    def __call__(self) -> datetime:
        self.acts += 1
        return BEGIN + timedelta(seconds=17 * self.acts)


def _samples(hostile: str) -> pa.Table:
    rows = [
        {
            "id": f"scene-{i:04}" if i % 9 else f"{hostile} {i}",
            "shard": 0,
            "row": i,
            "sha256": sha256(f"picture {i}".encode()),
            "size_bytes": 900 + i,
            "caption": f"{hostile} a red circle {i}",
            "source": "scenes",
        }
        for i in range(SAMPLES)
    ]
    return pa.Table.from_pylist(rows, MANIFEST)


def _taken(manifest: pa.Table) -> list[dict[str, str]]:
    return [
        {"id": name, "policy": policy, "rule": rule, "remedy": remedy, "why": why}
        for at, name in enumerate(manifest["id"].to_pylist())
        for rule, (policy, remedy, every, why) in DROPS.items()
        if at % every == 0
    ]


def _cleared(manifest: pa.Table) -> pa.Table:
    out = pa.array(sorted({row["id"] for row in _taken(manifest)}))
    return manifest.filter(pa.compute.invert(pa.compute.is_in(manifest["id"], out)))


def _rule(name: str, violations: int, **said: object) -> RuleResult:
    policy, remedy, _, why = DROPS.get(name, ("dpdp", "record", 1, ""))
    known = {
        "id": name, "policy": policy, "on": "sample", "violations": violations, "remedy": remedy,
        "status": "violated" if violations else "satisfied", "severity": "high", "why": why,
        "require": "licence_use IN ('permitted', 'duties')", "cite": "SPDX, CC deeds",
    }  # fmt: skip
    return RuleResult(**{**known, **said})


def _rules(taken: list[dict[str, str]], hostile: str, *, blocked: bool) -> tuple[RuleResult, ...]:
    counts = {name: sum(row["rule"] == name for row in taken) for name in DROPS}
    commercial = {"policy": "commercial"}
    return (
        *(_rule(name, count) for name, count in counts.items()),
        _rule("COM-DECODED", 0, remedy="exclude", why="nothing can be seen in it", **commercial),
        _rule(
            "COM-PERSONAL-NUMBER", int(blocked), remedy="block", severity="critical",
            why="a caption holds an identity number; correct the source", detail=hostile,
            **commercial,
        ),
        _rule(
            "COM-EXCLUDED-SHARE", 0, on="snapshot", remedy="block",
            why="when most of a set must go, the set is wrong", **commercial,
        ),
        _rule(
            "DPDP-6-10-CONSENT", 31, status="not-in-force", in_force_from="2027-05-13",
            cite="DPDP Act 2023 s.6(10)", why="from 13 May 2027 consent must be proved",
        ),
        _rule(
            "OWN-COMPUTE-IN-INDIA", 0, status="at-run", on="run", remedy="block",
            cite="the operator's own choice", why="this operator keeps compute in India",
        ),
    )  # fmt: skip


def _findings(samples: int, hostile: str) -> list[Finding]:
    def share(audit: str, name: str, value: float, half: float, note: str = "") -> Finding:
        low, high = max(0.0, value - half), min(1.0, value + half)
        return Finding(audit=audit, name=name, value=value, low=low, high=high, note=note)

    return [
        share("licence", "licence=CC-BY-4.0 share", 0.52, 0.045, "a tag is a claim, not title"),
        share("licence", "licence=CC0-1.0 share", 0.31, 0.041),
        share("licence", "licence=CC-BY-NC-SA-4.0 share", 0.11, 0.028),
        share("licence", f"licence={hostile} share", 0.01, 0.01),
        Finding(audit="licence", name="licence conflicts", value=7, ids=("scene-0001",) * 7),
        share("nsfw", "decoded share", 0.998, 0.003),
        Finding(
            audit="nsfw", name="suspected", value=0, note="a detector misses what it never saw"
        ),
        Finding(
            audit="duplicates", name="groups of equal pixels", value=30, ids=("scene-0016",) * 30
        ),
        share("bias", "gender=woman share", 0.44, 0.045, "counted as declared, never inferred"),
        share("bias", "gender=man share", 0.49, 0.045),
        share("bias", f"gender={hostile} share", 0.07, 0.023),
        Finding(
            audit="bias",
            name="nPMI gender=woman, occupation=nurse",
            value=0.31,
            low=0.12,
            high=0.47,
        ),
        Finding(audit="locality", name="samples stored outside India", value=None),
        Finding(audit="quality", name="samples", value=samples),
    ]


def _decision(manifest: pa.Table, hostile: str, *, blocked: bool = False) -> Decision:
    taken, cleared = _taken(manifest), _cleared(manifest)
    return Decision(
        snapshot=samples_root(manifest),
        samples=manifest.num_rows,
        measures=digest("measures"),
        audits=digest("audits"),
        audit_code=digest("code"),
        findings=sha256(findings_bytes(_findings(manifest.num_rows, hostile))),
        as_of="2026-11-23",
        verdict="block" if blocked else "pass",
        cleared_root=samples_root(cleared),
        cleared=cleared.num_rows,
        excluded=len({row["id"] for row in taken}),
        policies=(
            PolicyUsed(id="commercial", version="1", source="", sha256=sha256(b"id: commercial\n")),
            PolicyUsed(id="tables", version="9", source="", sha256=sha256(b"id: tables\n")),
            PolicyUsed(id="dpdp", version="1", source="", sha256=sha256(b"id: dpdp\n")),
        ),
        rules=_rules(taken, hostile, blocked=blocked),
    )


def _decide(
    workspace: Workspace, ledger: Ledger, decision: Decision, manifest: pa.Table, hostile: str
) -> Decision:
    folder = workspace.decision_folder(decision.id)
    workspace.store(findings_bytes(_findings(manifest.num_rows, hostile)))
    for policy in decision.policies:
        workspace.store(f"id: {policy.id}\n".encode())
    write_json(folder / "decision.json", decision.to_json())
    write_table(folder / "cleared.parquet", _cleared(manifest))
    write_table(folder / "excluded.parquet", pa.Table.from_pylist(_taken(manifest), EXCLUDED))
    excluded = file_sha256(folder / "excluded.parquet")
    signer, at = workspace.keyring.signer, BEGIN.isoformat()
    body = {
        "decision": decision.id,
        "verdict": decision.verdict,
        "excluded_sha256": excluded,
        "audit_statement": workspace.store(sign(audited(decision, AUDITS), signer("auditor"))),
        "decision_statement": workspace.store(sign(decided(decision, at=at), signer("gate"))),
    }
    ledger.append("decided", body)
    return decision


def _run(workspace: Workspace, ledger: Ledger, decision: Decision) -> None:
    keyring, folder = workspace.keyring, workspace.runs / RUN
    terms = Terms(run_config=digest("config"), budget_s=120.0, host="cpu-2")
    envelope = issue(decision, terms=terms, signer=keyring.signer("gate"), now=BEGIN)
    clearance = read_clearance(payload_of(envelope))
    kept = workspace.store(envelope)
    ledger.append("cleared", {"clearance": clearance.id, "decision": decision.id, "envelope": kept})
    ledger.spend(clearance.id, RUN)
    ledger.append("run.started", {"run": RUN, "clearance": clearance.id})
    files = _run_files(envelope)
    for name, data in files.items():
        write_whole(folder / name, data)
    ledger.append("run.checkpoint", {"run": RUN, "step": STEPS, "receipt": digest("receipt")})
    subjects = {name: sha256(data) for name, data in files.items() if name != "run.json"}
    payload = statement(PROVENANCE, subjects=subjects, predicate={"run": RUN})
    write_whole(folder / "provenance.json", sign(payload, keyring.signer("trainer")))
    ledger.append("run.finished", {"run": RUN, "result": sha256(files["result.json"])})


def _run_files(envelope: bytes) -> Mapping[str, bytes]:
    metrics = [
        {"step": s, "loss": round(0.9 * math.exp(-s / 140) + 0.11 + 0.02 * math.sin(s * s), 5),
         "grad_norm": 1.0, "lr": 0.002, "seconds": 0.11 * s, "samples": 32 * s}
        for s in range(1, STEPS + 1)
    ]  # fmt: skip
    result = Result(
        run=RUN, preset="micro", clearance=read_clearance(payload_of(envelope)).id,
        state="finished", steps=STEPS, samples_seen=32 * STEPS, receipt=digest("receipt"),
        checkpoint=digest("checkpoint"), seconds=117.4, margin_s=2.6, train_s=96.0,
        parameters=5_412_096, flops=1.3e14, joules=2100.0, joules_low=1050.0,
        joules_high=4200.0, joules_method="estimate", cost=None, currency="",
        captions_truncated=0, pipeline={},
    )  # fmt: skip
    scores = {
        "all_attributes": {"right": 53, "asked": 64, "share": 0.83, "low": 0.79, "high": 0.87}
    }
    return {
        "clearance.json": envelope,
        "config.json": canonical({"preset": "micro", "image_px": 32}),
        "run.json": canonical({"started_at": BEGIN.timestamp(), "state": "finished"}),
        "metrics.jsonl": b"".join(canonical(row) + b"\n" for row in metrics),
        "receipts.jsonl": canonical({"step": STEPS, "receipt": digest("receipt")}) + b"\n",
        "result.json": canonical(result.to_json()),
        "evaluation.json": canonical(scores),
        "samples.png": _grid(),
        **MODEL,
    }


def _grid() -> bytes:
    """Draw coloured shapes on grounds, as a sampler of scenes would."""
    tile, across, down = 64, 8, 4
    grid = Image.new("RGB", (tile * across, tile * down), "#d9d4c8")
    pen, colours = ImageDraw.Draw(grid), ("#b33", "#37a", "#483", "#c92", "#639", "#333")
    grounds = ("#e8e4da", "#cfd9e2", "#d7e0cf", "#e6d3cf")
    for at in range(across * down):
        x, y = at % across * tile, at // across * tile
        pen.rectangle((x, y, x + tile, y + tile), fill=grounds[at % 4])
        box = (x + 14 + at % 3 * 6, y + 12 + at % 5 * 4, x + 40 + at % 3 * 6, y + 38 + at % 5 * 4)
        (pen.ellipse if at % 2 else pen.rectangle)(box, fill=colours[at * 7 % 6])
    out = io.BytesIO()
    grid.save(out, "PNG")
    return out.getvalue()
