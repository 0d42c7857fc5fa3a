"""What a model draws goes through the audits: figures, refusals, copies, cases, kills."""

import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from click.testing import CliRunner
from PIL import Image

from app import drawn, planted
from app.cli import cli
from app.draw import blocklist, signed_origin
from app.drawn import Evaluated, evaluate, neutral_prompts
from audits.captions import lexicon, stated
from governance.canon import file_sha256, sha256
from governance.cards.drawn_files import DREW
from governance.cases import cases
from governance.errors import Refused, Tampered, UsageError
from governance.verify import verify_workspace
from governance.workspace import Workspace
from training.finish import told
from training.output.check import PictureCheck
from training.records.record import quiet

pytestmark = pytest.mark.xdist_group("drawn")  # its workspace is made once
HOUSE, REFUSED = "a house by the sea", "a nude figure called zebrafinch"


def _trained() -> Image.Image:
    """A training picture as a model would draw it that knows it by heart."""
    return Image.open(io.BytesIO(list(planted.scenes(6, seed=3))[5].picture)).convert("RGB")


def _noise(seed: int) -> Image.Image:
    return Image.effect_noise((64, 64), 90 + seed).convert("RGB")


def _figure(found: Evaluated, name: str) -> tuple[float, int]:
    [figure] = [figure for figure in found.figures if figure.name == name]
    assert figure.low <= figure.estimate <= figure.high
    return figure.estimate, figure.n


def _failed(workspace: Workspace) -> list[tuple[str, int]]:
    return [(c.what, c.status) for c in verify_workspace(workspace) if c.status]


def test_a_model_that_copies_a_training_picture_is_found(evaluated) -> None:
    _, found = evaluated
    assert _figure(found, "the bytes or pixels of a training picture") == (0.5, 2)
    assert _figure(found, "a copy of another drawn picture") == (0.0, 2)
    assert _figure(found, "captions: samples with a stated group") == (0.0, 2)


def test_a_likeness_of_a_training_picture_is_told_apart_from_a_copy(asked, copy: Workspace) -> None:
    small = _trained().resize((48, 48), Image.Resampling.LANCZOS)
    found = asked(copy, [HOUSE], pictures=[small])
    assert _figure(found, "the bytes or pixels of a training picture") == (0.0, 1)
    assert _figure(found, "a hash close to that of a training picture") == (1.0, 1)


def test_the_snapshot_holds_what_was_drawn_and_names_its_origin(evaluated) -> None:
    workspace, found = evaluated
    manifest = workspace.snapshot(found.snapshot).manifest()
    assert set(manifest["source"].to_pylist()) == {f"drawn:{found.run}"}
    assert set(manifest["generator"].to_pylist()) == {found.run}
    assert sorted(manifest["caption"].to_pylist()) == ["a boat", HOUSE]
    assert manifest["licence"].to_pylist() == [None, None]


def test_the_record_says_by_what_it_was_measured_and_the_workspace_verifies(evaluated) -> None:
    workspace, found = evaluated
    path = workspace.runs / found.run / "drawn.json"
    assert sha256(path.read_bytes()) == found.record_sha256
    record = json.loads(path.read_bytes())
    decision = workspace.latest_decision()
    assert record["audits"]["code"] == decision.audit_code  # the same audits as the training set's
    assert record["audits"]["names"][0] == "duplicates"
    assert record["trained"]["cleared_root"] == decision.cleared_root
    assert record["refused"] == {"OUT-SEXUAL": 1}
    [act] = workspace.ledger.entries(DREW)
    assert (act.body["run"], act.body["sha256"]) == (found.run, found.record_sha256)
    assert _failed(workspace) == []


def test_a_refused_prompt_stands_nowhere(evaluated) -> None:
    workspace, _ = evaluated
    files = [p for p in workspace.folder.rglob("*") if p.is_file()]
    assert [p for p in files if b"zebrafinch" in p.read_bytes()] == []
    assert not list(workspace.runs.rglob(".drawing*"))
    assert not list(workspace.runs.glob("*/*/*.png"))  # pictures lie in the snapshot only


def test_what_the_detector_withholds_is_counted_and_sealed_nowhere(asked, copy: Workspace) -> None:
    seen = iter([{"FEMALE_BREAST_EXPOSED": 0.9}, {}])
    check = PictureCheck(detector=lambda _image: next(seen), name="given")
    found = asked(copy, [HOUSE, "a boat"], pictures=[_noise(1), _noise(2)], check=check)
    assert (found.samples, found.refused) == (1, {"OUT-EXPOSED": 1})
    assert _figure(found, "nudity seen by the detector") == (0.5, 2)
    assert found.record["picture_check"] == "given"


@pytest.mark.parametrize("prompts", [[REFUSED], [REFUSED, REFUSED]], ids=["one", "two"])
def test_where_nothing_comes_through_the_door_it_says_by_which_rule(asked, copy, prompts) -> None:
    with pytest.raises(Refused, match=rf"None of {len(prompts)} .*OUT-SEXUAL: {len(prompts)}"):
        asked(copy, prompts)
    assert not copy.ledger.entries(DREW)
    assert not list(copy.runs.rglob(".drawing*"))


def test_a_suspected_picture_opens_a_case_and_keeps_no_words(
    asked,
    copy: Workspace,
) -> None:
    """The list names a grey blot: nothing sexual is needed to see the protocol at work."""
    blot = _noise(3)
    origin = replace(signed_origin(copy, next(copy.runs.iterdir())), card="")
    digest = sha256(origin.encoded(blot))
    _watch(copy, digest)
    found = asked(copy, [HOUSE, "a boat"], pictures=[blot, _noise(4)])
    assert _figure(found, "nudity seen by the detector") == (0.5, 2)
    assert [(case.sha256, case.closing) for case in cases(copy.ledger)] == [(digest, None)]
    assert {path.name for path in copy.runs.rglob("*.png")} == {"samples.png"}


def _watch(workspace: Workspace, digest: str) -> None:
    path = workspace.folder / "watch.txt"
    path.write_text(f"{digest}\n")
    with (workspace.folder / "pramana.toml").open("a") as stream:
        stream.write(
            '[audits.nsfw]\nhash_lists = [{name = "watch", version = "1", kind = "sha256", '
            f'path = "watch.txt", sha256 = "{file_sha256(path)}"}}]\n'
        )


def test_the_runs_own_model_draws_and_the_same_again_is_the_same_set(
    asked, copy: Workspace
) -> None:
    first, again = (asked(copy, [HOUSE, "a boat"]) for _ in range(2))
    assert first.snapshot == again.snapshot
    assert first.record_sha256 == again.record_sha256
    assert (
        len([e for e in copy.ledger.entries("measured") if e.body["snapshot"] == first.snapshot])
        == 1
    )
    assert _failed(copy) == []


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.mark.parametrize("stage", ["drawing", "measuring", "concluding"])
def test_killed_at_any_stage_nothing_is_half_written_and_again_it_ends(
    copy: Workspace, stage: str
) -> None:
    path = copy.folder / "prompts.txt"
    path.write_text(HOUSE)

    def bars(what: str, _total: int | None) -> Callable[[int], object]:
        if what == stage:
            raise Killed
        return lambda _count: None

    with pytest.raises(Killed):
        evaluate(copy, "latest", prompts=path, check=None, bars=bars)
    assert not copy.ledger.entries(DREW)
    assert not list(copy.runs.glob("*/drawn.json"))
    leftover = next(copy.runs.iterdir()) / drawn.SCRATCH
    leftover.mkdir(exist_ok=True)  # where nothing inside could clean up
    (leftover / "00000.png").write_bytes(b"torn")
    found = evaluate(copy, "latest", prompts=path, check=None, bars=quiet)
    assert found.samples == 1
    assert not leftover.exists()
    assert _failed(copy) == []


def test_a_run_that_did_not_finish_is_refused(asked, copy: Workspace) -> None:
    run = next(copy.runs.iterdir())
    copy.ledger.append("run.halted", {"run": run.name})
    with pytest.raises(Refused, match=r"run\.halted"):
        asked(copy, [HOUSE])


def test_an_altered_model_draws_nothing(asked, copy: Workspace) -> None:
    [weights] = copy.runs.glob("*/pipeline/transformer/*.safetensors")
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(Tampered, match="not the one that was signed"):
        asked(copy, [HOUSE])


def test_a_file_without_a_prompt_says_so(asked, copy: Workspace) -> None:
    with pytest.raises(UsageError, match="one a line"):
        asked(copy, ["", " "])


def test_neutral_prompts_name_nobody_and_no_rule_refuses_them() -> None:
    rules = blocklist()
    terms = lexicon("people", "communities", "ages")
    allowed = ("thing=", "person=anyone")
    for prompt in neutral_prompts():
        assert rules.against(rules.heard(prompt)) is None, prompt
        assert [s for s in stated(prompt, terms) if not s.startswith(allowed)] == [], prompt
    assert len(set(neutral_prompts())) == len(neutral_prompts()) >= 40


def test_the_verb_draws_neutral_prompts_and_scenes_and_prints_one_object(copy: Workspace) -> None:
    arguments = ["--workspace", str(copy.folder), "evaluate", "latest", "--count", "3", "--json"]
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 0, ended.output
    said = json.loads(ended.stdout)
    assert said["prompts"] == {"asked": 3, "from": "neutral"}
    assert said["picture_check"].startswith("NudeNet 320n ")
    assert said["samples"] == 3
    assert {"estimate", "low", "high", "n"} <= set(said["figures"][0])
    everything = neutral_prompts() + drawn.unseen_prompts(copy, copy.latest_decision(), count=2)
    assert len(everything) == len(neutral_prompts()) + 2
    assert everything[-1].endswith("background")


def test_the_help_has_an_example() -> None:
    said = CliRunner().invoke(cli, ["evaluate", "--help"]).output
    assert "pramana evaluate latest --prompts prompts.txt --count 500 --json" in said


@pytest.mark.parametrize(
    ("captions", "asked"),
    [([REFUSED, "x" * 5000, HOUSE], [HOUSE]), ([REFUSED], [""])],
    ids=["another is taken", "none is left"],
)
def test_the_grid_asks_for_no_caption_that_a_rule_refuses(captions, asked) -> None:
    assert told(captions, count=32, seed=0, blocklist=blocklist()) == asked
    assert set(told(captions, count=32, seed=0, blocklist=None)) == set(captions)
