"""What may be declared of weights of others, and how a provenance names those that taught a run."""

import pytest
from securesystemslib.signer import CryptoSigner

from governance.errors import Tampered, UsageError
from governance.statements import PROVENANCE, sign, statement
from governance.weights import (
    DeclaredWeights,
    UsedWeights,
    dependencies,
    read_declared,
    taught_by,
    teachers,
)
from governance.workspace import CONFIG_FILE, Workspace

TABLE = {
    "name": "t5gemma", "sha256": "a" * 64, "licence": "LicenseRef-Gemma",
    "source": "https://ai.google.dev/gemma", "trained_on": "web pages, as its card says",
}  # fmt: skip
TOML = """
operator = "Asha"
[[weights]]
name = "clip"
sha256 = "{sha256}"
licence = "MIT"
source = "https://example.org/clip"
"""


def used(role: str, **said: str | bool) -> UsedWeights:
    known = {"name": "t", "sha256": "a" * 64, "licence": "MIT", "use": "duties", "source": "",
             "trained_on": "", "teaches": True}  # fmt: skip
    return UsedWeights(role=role, **{**known, **said})


def test_a_workspace_reads_the_weights_it_declares_and_shows_them_to_nobody(tmp_path):
    (tmp_path / CONFIG_FILE).write_text(TOML.format(sha256="b" * 64))
    declared = Workspace.at(tmp_path).declared()
    assert declared.weights == (
        DeclaredWeights(
            name="clip", sha256="b" * 64, licence="MIT", source="https://example.org/clip"
        ),
    )
    assert "weights" not in declared.facts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"license": "MIT"}, "no others"),
        ({"name": ""}, "no 'name'"),
        ({"name": "../elsewhere"}, "no 'name'"),
        ({"sha256": "A" * 64}, "no 'sha256'"),
        ({"sha256": "a" * 63}, "no 'sha256'"),
        ({"licence": ""}, "no 'licence'"),
        ({"licence": "MIT\nforged = true"}, "no 'licence'"),
        ({"licence": 1}, "no 'licence'"),
        ({"source": "a friend"}, "no 'source'"),
        ({"source": "file:///etc/passwd"}, "no 'source'"),
        ({"trained_on": "\x1b[2J"}, "no 'trained_on'"),
    ],
    ids=[
        "unknown key", "no name", "a path", "capitals", "short digest", "no licence",
        "a second line", "a number", "no address", "another scheme", "control characters",
    ],
)  # fmt: skip
def test_a_table_is_read_to_the_last_key(change, said):
    with pytest.raises(UsageError, match=said):
        read_declared([{**TABLE, **change}])


@pytest.mark.parametrize("key", ["name", "sha256", "licence", "source"])
def test_a_table_without_a_key_it_needs_is_refused(key):
    with pytest.raises(UsageError, match=f"no '{key}'"):
        read_declared([{k: v for k, v in TABLE.items() if k != key}])


@pytest.mark.parametrize("tables", [TABLE, "t5", 1, ["t5"]], ids=repr)
def test_what_is_no_list_of_tables_is_refused(tables):
    with pytest.raises(UsageError, match=r"\[\[weights\]\]"):
        read_declared(tables)


def test_one_digest_has_one_licence():
    with pytest.raises(UsageError, match=f"{'a' * 12} are declared twice"):
        read_declared([TABLE, {**TABLE, "licence": "MIT"}])


def test_a_provenance_names_what_taught_ordered_by_role_and_not_what_judged():
    repa, text = used("objective.repa", licence="Apache-2.0"), used("text.encoder", name="t5")
    judge = used("evaluation.clip", teaches=False)
    definition = {
        "resolvedDependencies": [{"name": "clearance"}, *dependencies([text, judge, repa])]
    }
    payload = statement(
        PROVENANCE, subjects={"x": "0" * 64}, predicate={"buildDefinition": definition}
    )
    envelope = sign(payload, CryptoSigner.generate_ecdsa())
    assert teachers(envelope) == (repa, text)


@pytest.mark.parametrize(
    "predicate",
    [
        {"buildDefinition": []},
        {"buildDefinition": {"resolvedDependencies": [{}]}},
        {"buildDefinition": {"resolvedDependencies": [{"name": "weights:text.encoder"}]}},
        {"buildDefinition": {"resolvedDependencies": 1}},
    ],
    ids=["no mapping", "no name", "no digest", "no list"],
)
def test_a_provenance_whose_weights_do_not_read_is_tampered(predicate):
    with pytest.raises(Tampered, match="do not read"):
        taught_by(predicate)


def test_a_run_of_before_names_no_weights():
    assert taught_by({}) == ()
