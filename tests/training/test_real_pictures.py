"""Pictures that are not ours: 72 px drawings with names in many scripts train as well."""

import pyarrow.parquet as pq
import pytest

from governance.canon import parse_json
from governance.snapshot import image_bytes


@pytest.mark.shared
def test_drawings_of_72_px_train_and_are_judged_by_their_error_alone(
    shared, make_house, tiny
) -> None:
    table = pq.read_table(shared / "emoji" / "emoji-twemoji.parquet").slice(0, 240)
    pictures = [image_bytes(cell) for cell in table["image"].to_pylist()]
    captions = table["caption"].to_pylist()[:120] + table["caption_hi"].to_pylist()[120:]
    house = make_house(pictures, captions)
    result = house.start(house.envelope(tiny, 8.0), tiny, 8.0)
    run = house.workspace.runs / "run-1"
    evaluation = parse_json((run / "evaluation.json").read_bytes())
    assert result.state == "finished"
    assert not evaluation["prompts_unseen_in_training"]
    assert "all_attributes" not in evaluation
    assert set(evaluation["samples_shown"]) <= set(captions)
    assert evaluation["heldout_samples"] > 0
    assert all(error["value"] > 0 for error in evaluation["heldout_error_by_time"].values())
