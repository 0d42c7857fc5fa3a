"""Rendering a model card: Hugging Face metadata and Markdown, the same bytes for the same evidence.

Every text that came from a dataset is hostile: it is cut, stripped of control characters, and its
Markdown and HTML signs are written as entities.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from governance.canon import printable
from governance.cards.evidence import CHECKPOINT, USAGE_POLICY, Evidence
from governance.cards.fields import Field, fields
from governance.cards.waiver_files import said_of_waivers
from governance.records import RuleResult
from governance.trail.witness import check_checkpoint
from governance.verify import RESULT_FILE

if TYPE_CHECKING:
    from governance.workspace import Workspace

NOT_EVIDENCED = "**not evidenced**"
LONGEST = 200  # characters of a text that came from outside
SIGNS = str.maketrans({sign: f"&#{ord(sign)};" for sign in "&<>|`*_[]{}!\\#~@"})
LINKS = {"://": "&#58;//", "www.": "www&#46;"}  # what Markdown readers make links of by themselves


def card_text(workspace: "Workspace", run: str) -> str:
    """Return the card of a finished run. Raises EvidenceMissing, Tampered, UsageError."""
    from governance.cards.collection import collect  # noqa: PLC0415  heavy

    return render(collect(workspace, workspace.run_folder(run)))


def render(evidence: Evidence) -> str:
    """Return the card as Markdown with a metadata block. Raises EvidenceMissing, Tampered."""
    decision = evidence.decision()
    rows = fields(evidence)
    lines = [
        _metadata(evidence),
        "# A text-to-image model, with its proof",
        "",
        (
            f"Trained on exactly the {decision.cleared:,} samples that were cleared of "
            f"{decision.samples:,} audited. Every value below cites the evidence file it was read "
            "from; what nobody evidenced says so."
        ),
        "",
        "![samples drawn by the model](samples.png)",
        "",
        *_use(evidence),
        *_sections(rows),
        *_rules(decision.rules),
        *_waivers(evidence),
        *_withdrawals(evidence),
        *_verification(evidence),
    ]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Return text that no Markdown or HTML reader takes for anything but text."""
    flat = printable(text)
    flat = (flat if len(flat) <= LONGEST else flat[: LONGEST - 1] + "…").translate(SIGNS)
    for link, text_only in LINKS.items():
        flat = re.sub(re.escape(link), text_only, flat, flags=re.IGNORECASE)
    return flat


def _metadata(evidence: Evidence) -> str:
    """Return the YAML block that the Hugging Face hub reads."""
    from huggingface_hub import ModelCardData  # noqa: PLC0415  heavy

    decision, clearance = evidence.decision(), evidence.clearance()
    checkpoint = check_checkpoint(evidence.bytes_of(CHECKPOINT), evidence.trust())
    data = ModelCardData(
        library_name="diffusers",
        pipeline_tag="text-to-image",
        tags=["pramana", "text-to-image"],
        pramana={
            "verdict": decision.verdict,
            "decision": decision.id,
            "clearance": clearance.id,
            "snapshot": decision.snapshot,
            "cleared_root": decision.cleared_root,
            "policies": [f"{p.id}@{p.version}" for p in decision.policies],
            "as_of": decision.as_of,
            "ledger": checkpoint.origin,
            "ledger_size": checkpoint.size,
            "ledger_root": checkpoint.root.hex(),
        },
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _use(evidence: Evidence) -> Iterator[str]:
    """Print how stock diffusers draws with this model; it has no bins for sizes below 1,024 px."""
    side = evidence.json("config.json").get("image_px")
    yield from (
        "```python",
        "from diffusers import DiffusionPipeline",
        'pipe = DiffusionPipeline.from_pretrained(".")',
        f'pipe("a prompt", height={side}, width={side}, use_resolution_binning=False).images[0]',
        "```",
        "",
    )
    if USAGE_POLICY in evidence.json(RESULT_FILE).get("pipeline", {}):
        yield from (
            (
                f"What nobody may use it for: [{USAGE_POLICY}]({USAGE_POLICY}). `pramana draw` "
                "enforces what of it can be; the lines above do not."
            ),
            "",
        )


def _sections(rows: Sequence[Field]) -> Iterator[str]:
    """Print a table a section; a note that several rows share stands once, at the first."""
    said: set[str] = set()
    for section, group in groupby(rows, key=lambda row: row.section):
        members = list(group)
        noted = any(row.note for row in members)
        note = " note |" if noted else ""
        yield from (f"## {plain(section)}", "", f"| what | value | evidence |{note}")
        yield "|---|---|---|" + ("---|" if noted else "")
        for row in members:
            value = NOT_EVIDENCED if row.value is None else plain(row.value)
            source = "" if row.value is None else f"`{row.evidence}`"
            note = "" if row.note in said else plain(row.note)
            said.add(row.note)
            yield f"| {plain(row.name)} | {value} | {source} |" + (f" {note} |" if noted else "")
        yield ""


def _rules(rules: Sequence[RuleResult]) -> Iterator[str]:
    yield from ("## Rules", "", "| rule | status | violations | remedy | cites | in force from |")
    yield "|---|---|---|---|---|---|"
    for rule in rules:
        waived = f" and {rule.waived:,} waived" if rule.waived else ""
        cells = (rule.status, f"{rule.violations:,}{waived}", rule.remedy, rule.cite)
        joined = " | ".join(plain(cell) for cell in cells)
        yield f"| {plain(rule.id)} | {joined} | {rule.in_force_from or 'now'} |"
    yield ""


def _waivers(evidence: Evidence) -> Iterator[str]:
    """Print what was set aside: by whom, why, what is done instead, and until when."""
    said = said_of_waivers(evidence)
    if not said:
        return
    yield from (
        "## Waivers",
        "",
        "In force when the decision was made; asked for by one person, approved by others.",
        "",
        "| waiver | rule | samples | approved by | why | instead | until |",
        "|---|---|---|---|---|---|---|",
    )
    for row in said:
        roles = ", ".join(map(str, row["roles"]))
        rule = f"{row['rule']} of {row['policy']}"
        told = (rule, str(row["count"]), roles, row["reason"], row["measure"], row["ends_at"])
        yield f"| `{plain(row['id'][:12])}` | {' | '.join(plain(str(cell)) for cell in told)} |"
    yield ""


def _withdrawals(evidence: Evidence) -> Iterator[str]:
    """Print which of the samples it learnt from were taken back since."""
    withdrawn = evidence.withdrawals()
    if not withdrawn:
        return
    yield from (
        "## Withdrawn since",
        "",
        (
            "**This model was cleared to learn from samples that were withdrawn afterwards.** "
            "Whether trained weights must then change is unsettled in law; each row names the "
            "task that was opened."
        ),
        "",
        "| when | samples | task | record |",
        "|---|---|---|---|",
    )
    for row in withdrawn:
        cells = (row["at"], row["samples"], row["task"], row["record"])
        yield f"| {' | '.join(plain(str(cell)) for cell in cells)} |"
    yield ""


def _verification(evidence: Evidence) -> Iterator[str]:
    yield from (
        "## Verify this card",
        "",
        (
            "Compare the root key in `keys/`, or all of `trust.json`, with what you were given by "
            "another way. What was withdrawn, revoked or waived after this checkpoint is in the "
            "ledger, and not here."
        ),
        "",
        "```",
        "sh verify.sh                  # openssl, sha256sum and base64, none of our code: read it",
        "pramana verify . --trust T    # all of it; T is a trust.json that you hold already",
        "model_signing verify key . --signature model.sig --public_key keys/card-*.pub",
        "```",
        "",
        (
            "Every `*.sigstore.json`, `card.json`, and the clearance and provenance are Sigstore "
            "bundles (v0.3, DSSE, in-toto) under a managed key, for clients that take one. "
            "`ledger/*.tlog-proof` are C2SP tlog-proofs of the `.leaf` beside each, under the "
            "vkeys in `keys/`. `bom.cdx.json` is a CycloneDX 1.6 bill of materials."
        ),
        "",
        "| evidence | SHA-256 |",
        "|---|---|",
    )
    for name in sorted(evidence.files):
        yield f"| `{evidence.path(name)}` | `{evidence.digest(name)}` |"
