"""Tools that are not ours read a bundle: Sigstore's JavaScript, the command of the OpenSSF."""

import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from governance.statements import CYCLONEDX, PROVENANCE, SVR, TEST_RESULT

FOREIGN = Path(__file__).parents[1] / "foreign"
MODEL_SIGNING = FOREIGN / ".model_signing" / "bin" / "model_signing"
STATEMENTS = {  # file: the role that signed it, what it says
    "card.json": ("card", SVR),
    "bom.sigstore.json": ("card", CYCLONEDX),
    "model.sig": ("card", "https://model_signing/signature/v1.0"),
    "evidence/audits.sigstore.json": ("auditor", TEST_RESULT),
    "evidence/decision.sigstore.json": ("gate", SVR),
    "evidence/clearance.json": ("gate", SVR),
    "evidence/provenance.json": ("trainer", PROVENANCE),
}
sigstore = pytest.mark.skipif(
    not shutil.which("node") or not (FOREIGN / "node_modules" / "@sigstore").is_dir(),
    reason="Node or @sigstore/verify is not installed (see .ci/run)",
)


def _sigstore(bundle: Path, name: str, role: str) -> subprocess.CompletedProcess[str]:
    (key,) = (bundle / "keys").glob(f"{role}-*.pub")
    command = ["node", str(FOREIGN / "verify.mjs"), str(bundle / name), str(key)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@sigstore
@pytest.mark.parametrize(
    ("name", "role", "says"), [(n, *of) for n, of in STATEMENTS.items()], ids=STATEMENTS
)
def test_sigstore_verifies_each_statement(bundle: Path, name: str, role: str, says: str) -> None:
    ended = _sigstore(bundle, name, role)
    assert (ended.stdout.strip(), ended.stderr, ended.returncode) == (says, "", 0)


@sigstore
def test_sigstore_refuses_an_altered_payload_and_another_role(bundle: Path) -> None:
    assert _sigstore(bundle, "card.json", "gate").stderr.strip() == "SIGNATURE_ERROR"
    found = json.loads((bundle / "card.json").read_bytes())
    payload = b64decode(found["dsseEnvelope"]["payload"]).replace(b"EXPORTED", b"IMPORTED")
    found["dsseEnvelope"]["payload"] = b64encode(payload).decode()
    (bundle / "card.json").write_text(json.dumps(found))
    assert _sigstore(bundle, "card.json", "card").stderr.strip() == "SIGNATURE_ERROR"


@pytest.mark.skipif(not MODEL_SIGNING.is_file(), reason="model_signing is missing (see .ci/run)")
def test_the_command_on_the_card_verifies_the_model(bundle: Path) -> None:
    card = (bundle / "README.md").read_text()
    (line,) = [text for text in card.splitlines() if text.startswith("model_signing ")]
    command = f"{MODEL_SIGNING.parent}/{line}"

    def run() -> int:
        return subprocess.run(["/bin/sh", "-c", command], cwd=bundle, check=False).returncode

    assert run() == 0
    (bundle / "transformer" / "config.json").write_text("{}\n")
    assert run() != 0
