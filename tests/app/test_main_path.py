"""The whole path on real bytes: audit, train, card, verify; kills on the way, then attacks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app import planted
from governance.cards.bundle import CARD_STATEMENT, SUMS, listing, signed_listing
from governance.cards.verification import verify_bundle
from governance.signers.keys import Keyring
from governance.statements import PROVENANCE, payload_of, read_statement, sign
from governance.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("main-path")]
PRAMANA = [sys.executable, "-P", "-m", "app"]
BUDGET_S = 40.0


def _pramana(*arguments: object, status: int = 0) -> str:
    ended = subprocess.run(
        [*PRAMANA, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == status, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which 300 scenes were audited, cleared and trained on."""
    folder = tmp_path_factory.mktemp("trained")
    planted.write(folder / "scenes", list(planted.scenes(300, seed=3)))
    (folder / "pramana.toml").write_text('operator = "a test"\ncompute_region = "IN"\n')
    _pramana("--workspace", folder, "audit", folder / "scenes")
    began = time.time()
    _pramana("--workspace", folder, "train", "--preset", "micro", "--minutes", BUDGET_S / 60)
    (folder / "took").write_text(str(time.time() - began))
    return folder


def _run(folder: Path) -> Path:
    return next((folder / ".pramana" / "runs").iterdir())


def test_training_ends_at_or_before_its_deadline(trained: Path) -> None:
    result = json.loads((_run(trained) / "result.json").read_text())
    assert (result["state"], result["margin_s"] >= 0) == ("finished", True)
    assert result["steps"] > 10
    assert float((trained / "took").read_text()) < BUDGET_S + 5.0  # the interpreter's own start


def test_the_ledger_keeps_what_was_known_of_the_run_and_its_host(trained: Path) -> None:
    workspace = Workspace(trained)
    (entry,) = workspace.ledger.entries("cleared")
    facts = json.loads(workspace.load(str(entry.body["facts"]), "the facts"))
    assert (facts["preset"], facts["compute_region"], facts["scraped"]) == ("micro", "IN", False)
    assert {"host_region_attested", "host_metadata_region", "host_time_zone"} <= set(facts)
    assert "legal_contact" not in facts


def test_stock_diffusers_loads_the_pipeline_offline_and_draws(trained: Path) -> None:
    code = (
        "import sys; from diffusers import DiffusionPipeline\n"
        "pipe = DiffusionPipeline.from_pretrained(sys.argv[1], local_files_only=True)\n"
        "image = pipe('a red circle at the left on a white background', height=32, width=32,"
        " num_inference_steps=4, use_resolution_binning=False).images[0]\n"
        "print(type(pipe).__name__, image.size, 'training' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code, str(_run(trained) / "pipeline")],
        capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert ended.stdout.splitlines()[-1] == "PRXPixelPipeline (32, 32) False", ended.stderr


@pytest.fixture(scope="module")
def bundle(trained: Path) -> Path:
    """The bundle of the run, as the command line writes it."""
    _pramana("--workspace", trained, "card", _run(trained).name, "--out", trained / "card")
    return trained / "card"


def test_a_bundle_verifies_alone_with_ours_and_with_openssl(bundle: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(bundle, tmp_path / "alone")
    trust = tmp_path / "trust.json"
    shutil.copyfile(bundle.parent / ".pramana" / "keys" / "trust.json", trust)
    assert "✕" not in _pramana("verify", alone, "--trust", trust)
    command = ["/bin/sh", str(alone / "verify.sh")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "model: each file is signed for by the trainer too" in ended.stdout


def test_the_same_evidence_gives_the_same_card(bundle: Path, trained: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    _pramana("--workspace", trained, "card", _run(trained).name, "--out", again)
    for name in ("README.md", "bom.cdx.json"):
        assert (again / name).read_bytes() == (bundle / name).read_bytes()


def test_the_workspace_verifies_after_all_of_it(bundle: Path, trained: Path) -> None:
    assert "✕" not in _pramana("verify", trained)


def _flip_weights(folder: Path) -> None:
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def _more_steps(folder: Path) -> None:
    path = folder / "evidence" / "result.json"
    path.write_bytes(path.read_bytes().replace(b'"steps":', b'"steps":9'))


@pytest.mark.parametrize(
    ("attack", "noticed"),
    [(_flip_weights, {"run", "model"}), (_more_steps, {"run", "ledger", "bom", "card"})],
    ids=["weights", "result"],
)
def test_a_real_bundle_that_an_insider_signs_anew_does_not_verify(
    bundle: Path, tmp_path: Path, attack: Callable[[Path], None], noticed: set[str]
) -> None:
    """The rows of all checks are in test_bundle.py; these two are on a model that was trained."""
    folder = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    attack(folder)
    (folder / SUMS).write_bytes(listing(folder))
    signed = signed_listing((folder / SUMS).read_bytes())
    keyring = Keyring(bundle.parent / ".pramana" / "keys")
    (folder / CARD_STATEMENT).write_bytes(sign(signed, keyring.signer("card")))
    checks = verify_bundle(folder, keyring.trust())
    assert {c.what.partition(":")[0] for c in checks if c.status} == noticed


def test_the_bill_of_materials_of_a_real_run_is_strict_cyclonedx(bundle: Path) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="see .ci/run")
    schema = pytest.importorskip("cyclonedx.schema", reason="see .ci/run")
    strict = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert strict.validate_str((bundle / "bom.cdx.json").read_text()) is None


def test_provenance_names_the_cleared_samples(bundle: Path) -> None:
    payload = payload_of((bundle / "evidence" / "provenance.json").read_bytes())
    _, predicate = read_statement(payload, PROVENANCE)
    decision = json.loads((bundle / "evidence" / "decision.json").read_bytes())
    named = predicate["buildDefinition"]["resolvedDependencies"][0]["digest"]["sha256"]
    assert named == decision["cleared_root"]


def test_an_audit_that_was_killed_ends_with_the_same_findings(tmp_path: Path) -> None:
    planted.write(tmp_path / "scenes", list(planted.scenes(1100, seed=5)))
    places = (tmp_path / "whole", tmp_path / "killed")
    _pramana("--workspace", places[0], "audit", tmp_path / "scenes")
    command = [*PRAMANA, "--workspace", str(places[1]), "audit", str(tmp_path / "scenes")]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    ledger = Workspace.at(places[1]).ledger
    while not ledger.entries("measured"):
        assert child.poll() is None, "the audit ended before it could be killed"
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not ledger.entries("decided")
    _pramana("--workspace", places[1], "audit", tmp_path / "scenes")
    whole, killed = (Workspace(place).latest_decision() for place in places)
    assert killed == whole  # findings, measures and cleared root are digests in it
