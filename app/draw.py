"""Drawing with a model for people: words are read, pictures looked at, and each states its origin.

Joins what the three rooms know: the audits' words and detector guard what `training` draws. A run
of this workspace is drawn with only as its trainer signed it; a folder is taken as it stands.

Does not see: whether a prompt means harm, what the detector misses, or who gets the pictures.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.runs import run_files
from audits.captions import lexicon
from audits.identity.salt import salt_at
from audits.screening import boxes
from audits.screening.detector import Weights, run
from governance.canon import (
    Json,
    canonical,
    file_sha256,
    parse_json,
    sha256,
    whole_folder,
    write_whole,
)
from governance.cards.bundle import SUMS
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.records import as_object, json_object
from governance.verify import RESULT_FILE
from governance.workspace import STATE_FOLDER, Workspace
from training.output.blocklist import Blocklist
from training.output.check import EXPOSED, EXPOSED_MINOR, PictureCheck
from training.output.door import Door
from training.output.label import labelled
from training.output.manifest import Signing
from training.output.policy import policy_sha256
from training.output.provenance import Form, Origin
from training.output.refusal import Refusal, by_rule, log_bytes
from training.records.record import Bars, quiet

if TYPE_CHECKING:
    from PIL import Image

PIPELINE, RECORD_FILE, REFUSED_FILE = "pipeline", "drawn.json", "refused.jsonl"
SAFETY = "about="  # what the lexicon of safety says a term is, as `about=minor`
GIVEN = ("minor", "young", "nudity", "neither")  # lists the blocklist takes from that lexicon


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked: a model, prompts, a new folder, and how. `persons` has a name a line."""

    target: str
    prompts: tuple[str, ...]
    out: Path
    seed: int = 0
    steps: int = 20
    guidance: float = 3.0
    form: Form = "png"
    label: bool = False
    sign: bool = False
    chain: Path | None = None
    key: Path | None = None
    persons: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What came of it: files by prompt, what was refused, whether pictures were looked at."""

    folder: Path
    files: Mapping[int, str]
    refused: tuple[Refusal, ...]
    why: Mapping[str, str]
    checked: bool


def draw(workspace: Path, asked: Asked, *, check: PictureCheck | None, bars: Bars = quiet) -> Drawn:
    """Draw what is not refused into a new folder, whole or not at all; no check, none looks.

    Raises:
        UsageError: there is no such model, the folder is taken, or a setting cannot be.
        EvidenceMissing: the run has not ended, or the certificate or the weights are not there.
        Tampered: the weights of a run are not those its trainer signed for.
    """
    from training.output.artist import Artist  # noqa: PLC0415  heavy

    door = Door(blocklist=blocklist(asked.persons), check=check, salt=_salt(workspace))
    model, origin = _source(workspace, asked.target)
    signing = _signing(workspace, asked)
    reasons = (*(rule.reason for rule in door.blocklist.rules), EXPOSED, EXPOSED_MINOR)
    files, refused = dict[int, str](), list[Refusal]()
    with whole_folder(asked.out) as folder:
        artist = Artist(
            folder=model,
            prompts=asked.prompts,
            seed=asked.seed,
            steps=asked.steps,
            guidance=asked.guidance,
            bars=bars,
        )
        for place, came in door.through(asked.prompts, artist):
            if isinstance(came, Refusal):
                refused.append(came)
                continue
            files[place] = f"{place:04}.{asked.form}"
            image = labelled(came) if asked.label else came
            data = origin.encoded(image, asked.form)
            data = signing.signed(data, origin, asked.form) if signing else data
            write_whole(folder / files[place], data)
        write_whole(folder / REFUSED_FILE, log_bytes(refused))
        record = _record(asked, door, origin, by_rule(refused))
        record["pictures"] = {name: file_sha256(folder / name) for name in files.values()}
        write_whole(folder / RECORD_FILE, canonical(record))
    return Drawn(
        folder=asked.out,
        files=files,
        refused=tuple(refused),
        why={reason.rule: reason.why for reason in reasons},
        checked=door.checked,
    )


def blocklist(persons: Path | None = None) -> Blocklist:
    """Return the blocklist with the audits' words and the operator's persons. Raises UsageError."""
    terms = lexicon("safety").terms
    given = {
        name: [term for term, said in terms.items() if f"{SAFETY}{name}" in said] for name in GIVEN
    }
    given["persons"] = _names(persons) if persons else []
    return Blocklist.read(given)


def check_by(weights: Weights | None) -> PictureCheck:
    """Return the check by the NSFW audit's detector, in a process of its own.

    Raises:
        EvidenceMissing: it is not installed (None).
    """
    if weights is None:
        raise EvidenceMissing(
            "No detector is installed, so nobody would look at the pictures before they are "
            "written. Install pramana[nsfw], or say --unchecked: then only the words are read."
        )
    return PictureCheck(
        detector=lambda image: _exposed(weights, image), name=f"NudeNet 320n {weights.sha256[:16]}"
    )


def _exposed(weights: Weights, image: "Image.Image") -> dict[str, float]:
    """Return the highest score of each exposed class; {} where none is seen. Raises as `run`."""
    found = boxes.detections(run(weights, boxes.network_input(image)), image.size)
    scores = dict[str, float]()
    for box in found:
        if box.label in boxes.EXPOSED:
            scores[box.label] = max(box.score, scores.get(box.label, 0.0))
    return scores


def _source(workspace: Path, target: str) -> tuple[Path, Origin]:
    """Return the model that is meant, a folder or a run of the workspace, and its origin."""
    folder = Path(target)
    if (folder / "model_index.json").is_file():
        return folder, _origin(folder, run="", card=_sums(folder))
    if not (workspace / STATE_FOLDER).is_dir():
        raise UsageError(
            f"{target} is no folder with a model in it, and {workspace} is no workspace whose run "
            "it could be; name a run, a bundle or an exported folder."
        )
    place = Workspace(workspace)
    run_folder = place.run_folder(target)
    return run_folder / PIPELINE, signed_origin(place, run_folder)


def signed_origin(place: Workspace, folder: Path) -> Origin:
    """Return the origin of a finished run, once each file of its model is as it was signed."""
    kept = run_files(place, folder.name, RESULT_FILE)
    if not kept.signed:
        raise EvidenceMissing(f"Run {folder.name} has not ended; resume it with `pramana train`.")
    signed = as_object(parse_json(kept.files[RESULT_FILE]), "a result")["pipeline"]
    model = folder / PIPELINE
    found = {
        p.relative_to(model).as_posix(): file_sha256(p) for p in model.rglob("*") if p.is_file()
    }
    if found != signed:
        raise Tampered(
            f"The model of run {folder.name} is not the one that was signed; restore it."
        )
    cards = [e.body for e in place.ledger.entries("card.exported") if e.body["run"] == folder.name]
    return _origin(model, run=folder.name, card=str(cards[-1]["sums"]) if cards else "")


def _origin(model: Path, *, run: str, card: str) -> Origin:
    weights = sorted((model / "transformer").glob("*.safetensors"))
    if not weights:
        raise EvidenceMissing(f"There are no safetensors in {model / 'transformer'}; restore it.")
    result = model / "evidence" / RESULT_FILE  # a bundle has its run's
    if not run and result.is_file():
        run = str(json_object(result.read_bytes(), RESULT_FILE).get("run", ""))
    digests = [file_sha256(path) for path in weights]
    whole = digests[0] if len(digests) == 1 else sha256("".join(digests).encode())
    return Origin(run=run, weights=whole, card=card, policy=policy_sha256(model))


def _sums(bundle: Path) -> str:
    return file_sha256(bundle / SUMS) if (bundle / SUMS).is_file() else ""


def _signing(workspace: Path, asked: Asked) -> Signing | None:
    if bool(asked.chain) != bool(asked.key):
        raise UsageError("A certificate chain and its key go together; give --chain and --key.")
    if asked.chain and asked.key:
        return Signing.at(asked.chain, asked.key)
    if not asked.sign:
        return None
    if not (workspace / STATE_FOLDER).is_dir():
        raise UsageError("There is no workspace to keep a local certificate in; give --chain.")
    return Signing.local(Workspace(workspace).state / "keys", now=datetime.now(UTC))


def _salt(workspace: Path) -> bytes:
    """Return the workspace's salt; where there is none, one that nobody keeps."""
    if (workspace / STATE_FOLDER).is_dir():
        return salt_at(Workspace(workspace).salt)
    return secrets.token_bytes(32)


def _names(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line]


def _record(
    asked: Asked, door: Door, origin: Origin, refused: Mapping[str, int]
) -> dict[str, Json]:
    """Return what `drawn.json` says: by what, with what, through which door; no prompt."""
    return {
        "tool": origin.tool,
        "run": origin.run,
        "weights": origin.weights,
        "card": origin.card,
        "usage_policy": origin.policy,
        "seed": asked.seed,
        "steps": asked.steps,
        "guidance": asked.guidance,
        "label": asked.label,
        "signed": bool(asked.sign or asked.chain),
        "blocklist": {"version": door.blocklist.version, "digest": door.blocklist.digest},
        "picture_check": door.check.name if door.check else None,
        "prompts": len(asked.prompts),
        "refused": dict(refused),
    }
