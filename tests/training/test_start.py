"""The door: nothing is trained without a clearance, everything ends at the deadline."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from governance.canon import canonical, file_sha256, parse_json, sha256
from governance.errors import Refused, UsageError
from training import checkpoint
from training.config import WeightsConfig
from training.data.cleared import ClearedList
from training.data.samples import ClearedSamples
from training.records.receipt import Receipt
from training.records.record import Result, RunRecord

BUDGET_S = 12.0


def _lines(path: Path) -> list[dict]:
    return [dict(parse_json(line)) for line in path.read_bytes().splitlines()]


def test_a_run_ends_before_its_deadline_and_leaves_everything(finished) -> None:
    run, result, config = finished.run, finished.result, finished.config
    assert result.state == "finished"
    assert 0 <= result.margin_s < BUDGET_S
    assert result.steps > 20
    assert result.samples_seen == result.steps * config.batch_size
    assert Result(**parse_json((run / "result.json").read_bytes())) == result
    record = RunRecord.read(run)
    assert record.state == "finished"
    assert record.started_at < record.training_began_at < record.started_at + BUDGET_S
    assert "before the deadline" in result.summary()
    for name, expected in result.pipeline.items():
        assert file_sha256(run / "pipeline" / name) == expected
    metrics = _lines(run / "metrics.jsonl")
    assert [line["step"] for line in metrics] == list(range(1, result.steps + 1))
    assert metrics[-1]["lr"] < 0.3 * config.optimiser.lr
    assert (run / "samples.png").is_file()
    assert not list(run.rglob(".*"))


def test_the_average_is_what_is_exported(finished) -> None:
    last = checkpoint.folder_of(finished.run, finished.result.steps)
    average = load_file(last / "average.safetensors")
    name = "transformer/diffusion_pytorch_model.safetensors"
    exported = {
        f"transformer.{key}": tensor
        for key, tensor in load_file(finished.run / "pipeline" / name).items()
    }
    assert all(tensor.equal(average[f"average/{key}"]) for key, tensor in exported.items())
    weights = load_file(last / "weights.safetensors")
    assert not all(tensor.equal(weights[f"weights/{key}"]) for key, tensor in exported.items())


def test_only_prompts_that_were_not_trained_on_are_judged(finished) -> None:
    evaluation = parse_json((finished.run / "evaluation.json").read_bytes())
    assert evaluation["prompts_drawn"] == evaluation["all_attributes"]["asked"] == 4
    trained = set(pq.read_table(finished.house.cleared)["caption"].to_pylist())
    assert not set(evaluation["samples_shown"]) & trained


def test_what_it_draws_is_scored_against_what_it_trained_on(finished) -> None:
    evaluation = parse_json((finished.run / "evaluation.json").read_bytes())
    scores, memorised = evaluation["scores"], evaluation["memorised"]
    assert set(scores) == {"frechet", "mmd_with_diagonal", "mmd_without_diagonal"}
    for score in scores.values():
        assert score["low"] < score["value"] < score["high"]
        assert (score["count"], score["reference"]) == (4, evaluation_reference(finished))
        assert len(score["sha256"]) == 64
    cleared = set(pq.read_table(finished.house.cleared)["sha256"].to_pylist())
    kept = (finished.run / "nearest.json").read_bytes()
    assert memorised["nearest_sha256"] == sha256(kept)
    for way, near in parse_json(kept).items():
        assert memorised[way]["closer"]["asked"] == len(near) == 4
        assert set(near) <= cleared
        assert "nearest" not in memorised[way]  # it is handed out with the card
    assert set(parse_json(kept)) == {"by_hash", "by_feature"}
    assert "not_judged" not in evaluation


def evaluation_reference(finished) -> int:
    """Return how many pictures were trained on: all cleared ones but those kept out."""
    evaluation = parse_json((finished.run / "evaluation.json").read_bytes())
    return pq.read_table(finished.house.cleared).num_rows - evaluation["heldout_samples"]


def test_without_time_to_judge_the_run_ends_in_time_and_says_so(house, tiny, run) -> None:
    def bars(what: str, total: int | None):
        if what == "drawing":  # by then the rehearsal told how long judging takes
            written = parse_json((run / "rehearsal.json").read_bytes())
            (run / "rehearsal.json").write_bytes(canonical({"judging_s": written["judging_s"] + 9}))
        return lambda _: None

    result = house.start(house.envelope(tiny, BUDGET_S), tiny, BUDGET_S, bars=bars)
    evaluation = parse_json((run / "evaluation.json").read_bytes())
    assert result.state == "finished"
    assert evaluation["not_judged"] == "there was no time left"
    assert "scores" not in evaluation


def test_weights_that_are_not_there_stop_a_run_before_its_first_step(house, tiny, run) -> None:
    named = WeightsConfig(name="dinov2", sha256="0" * 64)
    config = replace(tiny, evaluation=replace(tiny.evaluation, extractor=named))
    with pytest.raises(UsageError, match="PRAMANA_WEIGHTS"):
        house.start(house.envelope(config, BUDGET_S), config, BUDGET_S)
    assert (run / "metrics.jsonl").read_bytes() == b""


def test_the_ledger_is_told_of_every_act(finished) -> None:
    house, result = finished.house, finished.result
    kinds = [entry.kind for entry in house.workspace.ledger.entries()]
    checkpoints = kinds.count("run.checkpoint")
    assert checkpoints >= 3
    assert kinds == [
        "cleared",
        "clearance.spent",
        "run.started",
        *["run.checkpoint"] * checkpoints,
        "run.finished",
    ]
    [told] = house.told("run.finished")
    assert told["result"] == file_sha256(finished.run / "result.json")
    assert house.told("run.checkpoint")[-1]["checkpoint"] == result.checkpoint
    assert house.told("run.checkpoint")[-1]["receipt"] == result.receipt == told["receipt"]
    house.workspace.ledger.verify()


def test_whoever_holds_the_cleared_list_can_recompute_the_receipt(finished) -> None:
    house, config = finished.house, finished.config
    samples = ClearedSamples.open(
        house.clearance(config),
        listed=ClearedList.read(house.cleared),
        snapshot=house.snapshot,
        image_px=config.image_px,
    )
    trained, _ = samples.split(config.evaluation.heldout_share)
    for line in _lines(finished.run / "receipts.jsonl"):
        places = trained.places(config.seed, 0, line["last_sample"])
        replayed = Receipt().extended(trained.digests[place] for place in places)
        assert line["receipt"] == replayed.value.hex()
    assert line["receipt"] == finished.result.receipt


def test_a_run_that_was_stopped_goes_on_to_the_same_deadline(house, tiny, run) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    house.stopped(tiny, envelope, BUDGET_S, at_step=20)
    step = checkpoint.latest_step(run)
    assert step == 20
    before = RunRecord.read(run)
    house.clock.now += 2.0
    result = house.start(envelope, tiny, BUDGET_S, started_at=house.clock.now)
    after = RunRecord.read(run)
    assert (after.started_at, after.budget_s) == (before.started_at, before.budget_s)
    assert after.training_began_at == before.training_began_at
    assert result.state == "finished"
    assert house.clock.now <= before.started_at + BUDGET_S
    assert house.told("run.resumed") == [{"run": "run-1", "step": 20}]
    steps = [line["step"] for line in _lines(run / "metrics.jsonl")]
    assert steps == list(range(1, result.steps + 1))
    receipts = _lines(run / "receipts.jsonl")
    assert [line["last_sample"] for line in receipts] == [8 * line["step"] for line in receipts]
    assert receipts[-1]["receipt"] == result.receipt


def test_a_late_resume_goes_on_from_the_rate_it_had(house, tiny, run) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    house.stopped(tiny, envelope, BUDGET_S, at_step=20)
    house.clock.now = RunRecord.read(run).started_at + 8.5
    house.start(envelope, tiny, BUDGET_S)
    rates = [line["lr"] for line in _lines(run / "metrics.jsonl")]
    assert rates[19] == pytest.approx(tiny.optimiser.lr)
    assert 0.8 * rates[19] < rates[20] <= rates[19]
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] < 0.3 * rates[19]


def test_lines_of_steps_that_were_lost_are_dropped_on_resume(house, tiny, run) -> None:
    """As after a kill: steps were done and told after the checkpoint that is resumed from."""
    envelope = house.envelope(tiny, BUDGET_S)
    house.stopped(tiny, envelope, BUDGET_S, at_step=10)
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(canonical({"step": 11, "loss": 1.0}) + b'\n{"step": 12, "lo')
    with (run / "receipts.jsonl").open("ab") as stream:
        stream.write(canonical({**_lines(run / "receipts.jsonl")[-1], "step": 11}) + b"\n")
    (run / "checkpoints" / "step-000011").mkdir()
    result = house.start(envelope, tiny, BUDGET_S)
    steps = [line["step"] for line in _lines(run / "metrics.jsonl")]
    assert steps == list(range(1, result.steps + 1))


def test_a_run_killed_before_its_first_checkpoint_starts_afresh(house, tiny, run) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    late = replace(tiny, schedule=replace(tiny.schedule, checkpoint_s=1e6))
    envelope = house.envelope(late, BUDGET_S)
    house.stopped(late, envelope, BUDGET_S, at_step=5)
    (run / "latest").unlink()
    (run / "metrics.jsonl").write_bytes(b'{"step":1,"loss":1}\n{"st')
    result = house.start(envelope, late, BUDGET_S)
    assert result.steps == len(_lines(run / "metrics.jsonl"))
    assert house.told("run.resumed") == []


def test_a_run_whose_deadline_passed_while_it_was_down_is_closed(house, tiny, run) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    house.stopped(tiny, envelope, BUDGET_S, at_step=10)
    house.clock.now += BUDGET_S
    with pytest.raises(Refused, match="expired"):
        house.start(envelope, tiny, BUDGET_S)
    assert RunRecord.read(run).state == "expired"
    assert house.told("run.expired") == [{"run": "run-1"}]
    with pytest.raises(Refused, match="is over"):
        house.start(envelope, tiny, BUDGET_S)


def test_a_run_that_cannot_make_one_step_is_closed(house, tiny, run) -> None:
    house.clock.now += BUDGET_S - 2.0
    with pytest.raises(Refused, match="single step"):
        house.start(house.envelope(tiny, BUDGET_S), tiny, BUDGET_S)
    assert not (run / "result.json").exists()


def test_a_run_that_ends_after_its_deadline_says_so(house, tiny, run) -> None:
    def bars(what: str, total: int | None):
        house.clock.now += 60.0 * (what == "drawing")
        return lambda _: None

    result = house.start(house.envelope(tiny, BUDGET_S), tiny, BUDGET_S, bars=bars)
    assert result.state == "late"
    assert result.margin_s < 0
    assert "after the deadline" in result.summary()


def test_the_grid_is_drawn_even_when_there_is_no_time_for_every_prompt(house, tiny, run) -> None:
    many = replace(tiny, evaluation=replace(tiny.evaluation, prompts=64))

    def bars(what: str, total: int | None):
        def advance(_: int) -> None:
            house.clock.now += 2.0 * (what == "drawing")

        return advance

    house.start(house.envelope(many, BUDGET_S), many, BUDGET_S, bars=bars)
    evaluation = parse_json((run / "evaluation.json").read_bytes())
    assert 16 <= evaluation["prompts_drawn"] < 64 == evaluation["prompts_wanted"]
    assert evaluation["all_attributes"]["asked"] == evaluation["prompts_drawn"]
