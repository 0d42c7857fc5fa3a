"""A whole run that reads its pictures from a pack, of several shapes and in two stages."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from governance.canon import parse_json
from governance.errors import Refused
from training.config import DataConfig, StageConfig
from training.data.cleared import ClearedList
from training.data.opening import DATA_FILE, SHAPES_FILE, Source
from training.data.order import Order
from training.data.pack import Packs
from training.export import load
from training.planning.flops import train_flops
from training.records.journal import Journal
from training.records.receipt import Receipt
from training.text.tokens import Tokens

BUDGET_S = 14.0


def _drawn(number: int) -> bytes:
    stream, side = io.BytesIO(), ((48, 48), (64, 32), (32, 64))[number % 3]
    Image.new("RGB", side, (number, 255 - number, 0)).save(stream, "PNG")
    return stream.getvalue()


def test_a_run_from_a_pack_ends_in_time_and_its_receipts_verify(make_house, tiny) -> None:
    house = make_house([_drawn(n) for n in range(96)], [f"colour {n}" for n in range(96)])
    run = house.workspace.runs / "run-1"
    config = replace(
        tiny,
        earlier=(StageConfig(time_share=0.5, image_px=16, batch_size=4, repa=True),),
        image_px=32,
        data=DataConfig(keep="packed", shapes=3, widest=2.0),
    )
    result = house.start(house.envelope(config, BUDGET_S), config, BUDGET_S)

    assert result.state == "finished"
    packs = Packs(folder=house.workspace.state / "packs", ledger=house.workspace.ledger)
    source = Source(
        clearance=house.clearance(config),
        listed=ClearedList.read(house.cleared),
        snapshot=house.snapshot,
        packs=packs,
    )
    trained = source.open(config, source.keep(config)).trained
    lines = Journal(run / "metrics.jsonl").read()
    order, receipt, batches = Order.of(config, trained.shape_numbers), Receipt(), []
    for line in lines:
        batches.append(line["samples"] - receipt.samples)
        _, places = order.after(receipt.samples, batches[-1])
        receipt = receipt.extended(trained.digests[place] for place in places)
    assert receipt.value.hex() == result.receipt
    assert set(batches) == {4, 8}
    assert batches == sorted(batches)  # the stages came in their order
    tokens = Tokens.of(trained.captions, load(run / "pipeline").model.tokenizer, 48)
    words = int(tokens.mask.sum(dim=1).max())
    assert result.flops == sum(  # each picture at the size at which it was seen
        count * batches.count(count) * train_flops(config, words, image_px=px)
        for count, px in ((4, 16), (8, 32))
    )
    (told,) = house.told("packed")
    assert told["samples"] == 84
    facts = parse_json((run / DATA_FILE).read_bytes())
    assert (facts["asked"], facts["keep"], facts["bytes_in_memory"]) == ("packed", "packed", 0)
    shapes = np.frombuffer((run / SHAPES_FILE).read_bytes(), np.uint8)
    assert np.bincount(shapes).tolist() == facts["samples_by_shape"]
    assert min(facts["samples_by_shape"]) > 20  # of 84: all three shapes were trained on
    house.workspace.ledger.verify()


def test_a_pack_of_encrypted_pictures_is_refused_before_the_clearance_is_used(house, tiny) -> None:
    config = replace(tiny, data=replace(tiny.data, keep="packed"))
    secret = tuple(replace(shard, encrypted=True) for shard in house.snapshot.shards)
    with pytest.raises(Refused, match=r"encrypted.*data\.keep"):
        house.start(
            house.envelope(config, BUDGET_S),
            config,
            BUDGET_S,
            snapshot=replace(house.snapshot, shards=secret),
        )
    assert not house.workspace.ledger.spent()
