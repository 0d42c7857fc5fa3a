"""What a model draws is a dataset too: drawn for neutral prompts, sealed, audited, signed.

Pictures go through the door that `pramana draw` has, are sealed as a snapshot, and are measured by
the audits that the training set went through; that set is what duplicates are looked for in. The
record has figures, digests and counts of refusals by rule, and no prompt.

Does not see: whom a picture shows, what the detector misses, or what other prompts would draw.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from app.draw import PIPELINE, blocklist, signed_origin
from app.drawn_figures import Figure, figures
from app.measuring import Measured, measure
from audits import engine
from audits.alike.leaks import EvaluationSet, hash_table
from audits.audit import Audit
from audits.duplicates import DuplicatesAudit
from audits.identity.salt import salt_at
from audits.registry import audits_of
from governance.canon import Json, canonical, file_sha256, parse_yaml, write_whole
from governance.cards.drawn_files import keep_drawn
from governance.clearance import read_clearance
from governance.errors import Refused, UsageError
from governance.records import FINISHED, RUN_ENDS, Decision, as_object, findings_bytes
from governance.snapshot import write_table
from governance.statements import payload_of
from governance.verify import CLEARANCE_FILE, RESULT_FILE
from governance.workspace import Workspace
from training.output.check import PictureCheck
from training.output.door import Artist, Door
from training.output.provenance import Origin
from training.output.refusal import Refusal, by_rule, log_bytes
from training.records.record import Bars

if TYPE_CHECKING:
    from PIL import Image

NEUTRAL = Path(__file__).with_name("neutral.yaml")
SCRATCH = ".drawing"  # in the run's folder, and gone at the end
SEED, STEPS, GUIDANCE = 0, 20, 3.0  # as `pramana draw` draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What came of it: a signed record, and what of it people ask first."""

    run: str
    snapshot: str
    samples: int
    figures: tuple[Figure, ...]
    refused: Mapping[str, int]  # by rule
    record: Mapping[str, Json]
    record_sha256: str


def evaluate(
    workspace: Workspace,
    run: str,
    *,
    check: PictureCheck | None,
    bars: Bars,
    prompts: Path | None = None,
    count: int | None = None,
    artist: Artist | None = None,
) -> Evaluated:
    """Draw with a finished run, seal and audit what it drew, and keep a signed record of it.

    Args:
        workspace: where the run lies.
        run: the beginning of its id, or `latest`.
        check: looks at each picture before it is written; None, and only words are read.
        bars: draws progress.
        prompts: a file with a prompt a line; None, and they are neutral ones of ours.
        count: pictures to draw, the prompts over and over; None draws one a prompt.
        artist: draws prompts by their place; None, and the run's own model does.

    Raises:
        Refused: the run has no model to draw with, or nothing came through the door.
        EvidenceMissing: the run has not ended, measures of its data are gone, or no detector is.
        Tampered: the model, or what was measured of its data, was altered.
        UsageError: there is no such run, or no prompt.
    """
    folder = workspace.run_folder(run)
    _check_finished(workspace, folder)
    origin = replace(signed_origin(workspace, folder), card="")  # of the run, whatever was exported
    decision = _decision_of(workspace, folder)
    asked = _asked(workspace, folder, decision, prompts=prompts, count=count)
    door = Door(blocklist=blocklist(), check=check, salt=salt_at(workspace.salt))
    with _scratch(folder) as scratch:
        known = _training_set(workspace, decision, scratch, run=folder.name)
        source = scratch / f"drawn:{folder.name}"
        artist = artist or _own_artist(folder, asked, bars)
        refused = _draw(source, door.through(asked, artist), asked, origin)
        audits = _audits(workspace, known)
        measured = measure(workspace, [str(source)], audits=audits, bars=bars)
    told = figures(
        measured.samples,
        measured.findings,
        withheld=sum(refusal.at == "picture" for refusal in refused),
        trained=known.name,
    )
    record: dict[str, Json] = {
        "run": folder.name,
        "result": file_sha256(folder / RESULT_FILE),
        "weights": origin.weights,
        "prompts": {"from": "given" if prompts else "neutral", "asked": len(asked)},
        "refusals": workspace.store(log_bytes(refused)),
        "refused": dict(by_rule(refused)),
        "trained": {"cleared_root": decision.cleared_root, "hashes": known.sha256},
        "figures": [figure.to_json() for figure in told],
        **_drawn_with(door),
        **_measured(workspace, measured, audits),
    }
    return Evaluated(
        run=folder.name,
        snapshot=measured.snapshot.root,
        samples=measured.snapshot.samples,
        figures=tuple(told),
        refused=by_rule(refused),
        record=record,
        record_sha256=keep_drawn(workspace, folder.name, canonical(record)),
    )


def neutral_prompts() -> tuple[str, ...]:
    """Return our own prompts: people by what they do, and places."""
    said = as_object(parse_yaml(NEUTRAL.read_text("utf-8")), NEUTRAL.name)
    return tuple(str(line) for part in ("people", "places") for line in said[part])


def _check_finished(workspace: Workspace, folder: Path) -> None:
    """Refuse a run that ended without a model: stopped, or past its deadline."""
    for kind in set(RUN_ENDS) - {FINISHED}:
        if any(entry.body["run"] == folder.name for entry in workspace.ledger.entries(kind)):
            raise Refused(
                f"Run {folder.name} ended by {kind}: its weights may not be used. Train again on "
                "what is cleared."
            )


def _decision_of(workspace: Workspace, folder: Path) -> Decision:
    clearance = read_clearance(payload_of((folder / CLEARANCE_FILE).read_bytes()))
    return workspace.decision(clearance.decision)


def _asked(
    workspace: Workspace,
    folder: Path,
    decision: Decision,
    *,
    prompts: Path | None,
    count: int | None,
) -> tuple[str, ...]:
    """Return the prompts to draw: those of the file; else ours, and scenes no caption named."""
    if prompts:
        lines = (line.strip() for line in prompts.read_text("utf-8").splitlines())
        given = tuple(line for line in lines if line)
    else:
        given = neutral_prompts()
        given += unseen_prompts(workspace, decision, count=len(given))
    if not given:
        raise UsageError(f"{folder.name}: the file of prompts has none; write one a line.")
    return tuple(islice(cycle(given), count or len(given)))


def unseen_prompts(workspace: Workspace, decision: Decision, *, count: int) -> tuple[str, ...]:
    """Return prompts of scenes that no cleared caption speaks of; none where they are no scenes."""
    from training.evaluate.heldout import unseen_scenes  # noqa: PLC0415  heavy
    from training.evaluate.scenes import caption  # noqa: PLC0415  heavy

    captions = [text or "" for text in workspace.cleared(decision)["caption"].to_pylist()]
    return tuple(caption(scene) for scene in unseen_scenes(captions, count=count, seed=SEED))


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a folder for pictures on their way into a snapshot; whatever happens, it goes."""
    scratch = folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)  # of a run of this that was killed
    scratch.mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _training_set(
    workspace: Workspace, decision: Decision, scratch: Path, *, run: str
) -> EvaluationSet:
    """Return the cleared pictures as hashes to look for, from the measures they were cleared by."""
    measures = engine.open_measures(
        workspace.measures(decision.snapshot, decision.audits),
        recorded=workspace.recorded_parts(decision.snapshot, decision.audits),
        snapshot=workspace.snapshot(decision.snapshot),
    )
    cleared = set(workspace.cleared(decision)["id"].to_pylist())
    kept = pa.array([name in cleared for name in measures["id"].to_pylist()])
    path = scratch / "trained.parquet"
    write_table(path, hash_table(measures.filter(kept)))
    return EvaluationSet(name=f"trained:{run}", sha256=file_sha256(path), path=path)


def _audits(workspace: Workspace, known: EvaluationSet) -> tuple[Audit, ...]:
    """Return the operator's audits, which also look for the training set."""
    chosen = audits_of(
        workspace.declared().audits, folder=workspace.folder, salt=salt_at(workspace.salt)
    )
    return tuple(
        replace(audit, evaluation_sets=(*audit.evaluation_sets, known))
        if isinstance(audit, DuplicatesAudit)
        else audit
        for audit in chosen
    )


def _own_artist(folder: Path, asked: Sequence[str], bars: Bars) -> Artist:
    from training.output.artist import Artist as Own  # noqa: PLC0415  heavy

    return Own(
        folder=folder / PIPELINE,
        prompts=asked,
        seed=SEED,
        steps=STEPS,
        guidance=GUIDANCE,
        bars=bars,
    )


def _draw(
    source: Path,
    came: Iterable[tuple[int, "Image.Image | Refusal"]],
    asked: Sequence[str],
    origin: Origin,
) -> list[Refusal]:
    """Write what came through the door as a dataset, and return the rest.

    Raises:
        Refused: nothing came through.
    """
    source.mkdir()
    rows, refused = list[str](), list[Refusal]()
    for place, picture in came:
        if isinstance(picture, Refusal):
            refused.append(picture)
            continue
        name = f"{place:05}.png"
        write_whole(source / name, origin.encoded(picture))
        row = {"file_name": name, "caption": asked[place], "generator": origin.run}
        rows.append(json.dumps(row) + "\n")
    if not rows:
        told = ", ".join(f"{rule}: {count}" for rule, count in by_rule(refused).items())
        raise Refused(f"None of {len(asked)} pictures came through the door ({told}).")
    write_whole(source / "metadata.jsonl", "".join(rows).encode())
    return refused


def _drawn_with(door: Door) -> dict[str, Json]:
    return {
        "drawn_with": {"seed": SEED, "steps": STEPS, "guidance": GUIDANCE},
        "blocklist": {"version": door.blocklist.version, "digest": door.blocklist.digest},
        "picture_check": door.check.name if door.check else None,
    }


def _measured(workspace: Workspace, measured: Measured, audits: Sequence[Audit]) -> dict[str, Json]:
    stands_on = measured.stands_on
    return {
        "snapshot": measured.snapshot.root,
        "samples": measured.snapshot.samples,
        "findings": workspace.store(findings_bytes(measured.findings)),
        "audits": {
            "names": [audit.name for audit in audits],
            "settings": stands_on.audits,
            "code": stands_on.audit_code,
            "measures": stands_on.measures,
        },
    }
