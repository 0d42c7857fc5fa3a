"""What a run computes on: bf16 only where the device multiplies it itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from governance.errors import UsageError
from training import compute
from training.model import build
from training.objective import Noised, Objective, dice
from training.sample import draw
from training.start import terms_of
from training.text.tokens import Tokens, load_tokenizer, make_tokenizer

CAPTIONS = ("a red circle", "a blue square on white", "two dots", "a line")
here = pytest.mark.skipif(not compute.has_bf16("cpu"), reason="this processor has no bf16")


@pytest.fixture
def noised(tiny) -> Noised:
    pixels = torch.randint(
        0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    tokens = Tokens.of(CAPTIONS, load_tokenizer(make_tokenizer(CAPTIONS, 300)), 48)
    return Noised.drawn(pixels, tokens.rows(range(4)), tiny, dice(0, step=0, part=0))


@pytest.fixture
def without_bf16(monkeypatch) -> None:
    """Let the processor be one without."""
    for has in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, has, lambda: False)


@pytest.mark.usefixtures("without_bf16")
def test_bf16_in_software_is_refused_and_nothing_is_spent(house, tiny) -> None:
    config = replace(tiny, precision="bf16")
    with pytest.raises(UsageError, match="set precision: fp32"):
        terms_of(config, 12.0)
    with pytest.raises(UsageError, match="set precision: fp32"):
        house.start(house.envelope(config, 12.0), config, 12.0)
    assert house.told("run.started") == []
    assert not house.workspace.ledger.spent()


@pytest.mark.usefixtures("without_bf16")
def test_fp32_is_everywhere(tiny) -> None:
    assert terms_of(tiny, 12.0).run_config == tiny.digest


@here
def test_in_bf16_products_are_rounded_and_weights_and_gradients_are_not(tiny, noised) -> None:
    tokenizer = load_tokenizer(make_tokenizer(CAPTIONS, 300))
    said = {}
    for precision in ("fp32", "bf16"):
        model = build(replace(tiny, precision=precision), tokenizer)
        loss = Objective(model, tiny.objective)(noised)
        parameters = [parameter for _, parameter in model.named_parameters()]
        gradients = torch.autograd.grad(loss, parameters)
        assert loss.dtype == torch.float32
        assert {t.dtype for t in (*parameters, *gradients)} == {torch.float32}
        said[precision] = loss.item()
    assert said["bf16"] != said["fp32"]
    assert said["bf16"] == pytest.approx(said["fp32"], rel=0.01)


@here
def test_a_whole_run_in_bf16_ends_in_time_and_draws(house, tiny) -> None:
    config = replace(tiny, precision="bf16")
    result = house.start(house.envelope(config, 12.0), config, 12.0)
    assert (result.state, result.steps > 20) == ("finished", True)


@here
def test_pictures_are_drawn_in_the_precision_of_the_run(tiny) -> None:
    tokenizer = load_tokenizer(make_tokenizer(CAPTIONS, 300))
    seen = []
    for precision in ("fp32", "fp32", "bf16"):
        model = build(replace(tiny, precision=precision), tokenizer)
        seen.append(np.asarray(draw(model, ["a red circle"], tiny, seed=1)[0]).astype(int))
    assert (seen[0] == seen[1]).all()
    assert 0 < np.abs(seen[0] - seen[2]).mean() < 8


def test_a_cpu_has_no_accelerators_to_meter(tiny) -> None:
    assert compute.accelerators(tiny) == ()
