"""The model: our forward pass is the stock one, and captions reach it as a stock prompt would."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from training.config import RunConfig, load_preset
from training.denoiser import predict, rotary
from training.model import Model, build
from training.objective import Noised, Objective
from training.planning.flops import train_flops
from training.team.parallel import alone
from training.text.tokens import Tokens, clean, load_tokenizer, make_tokenizer

CAPTIONS = ("a red circle at the left", "", "काला वृत्त", "<pad> &amp; 🙂", "a blue cross")


@pytest.fixture
def model(tiny: RunConfig) -> Model:
    made = build(tiny, load_tokenizer(make_tokenizer(CAPTIONS, tiny.text.vocabulary)))
    with torch.no_grad():  # so that no layer is silent because it begins at zero
        for _, parameter in made.named_parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def _batch(model: Model, config: RunConfig, rows: int = 5) -> Noised:
    generator = torch.Generator().manual_seed(3)
    size = (rows, 3, config.image_px, config.image_px)
    pixels = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
    tokens = Tokens.of(CAPTIONS[:rows], model.tokenizer, 12)
    return Noised.drawn(pixels, tokens.rows(range(rows)), config, generator)


def _part(batch: Noised, span: slice) -> Noised:
    cut = {name: getattr(batch, name)[span] for name in ("clean", "noisy", "times", "ids", "mask")}
    return replace(batch, **cut)


def test_our_forward_pass_is_the_stock_one(model: Model, tiny: RunConfig) -> None:
    batch = _batch(model, tiny)
    text = model.encode(batch.ids, batch.mask)
    ours = predict(
        model.transformer,
        batch.noisy,
        times=batch.times,
        text=text,
        mask=batch.mask,
        phases=rotary(model.transformer, tiny.image_px, tiny.image_px),
    )
    [stock] = model.transformer(batch.noisy, batch.times, text, batch.mask, return_dict=False)
    assert stock.std() > 0.01
    torch.testing.assert_close(ours, stock, rtol=1e-4, atol=1e-5)


def test_the_same_seed_builds_the_same_weights(tiny: RunConfig) -> None:
    tokenizer = load_tokenizer(make_tokenizer(CAPTIONS, 300))
    one, same = build(tiny, tokenizer), build(tiny, tokenizer)
    other = build(replace(tiny, seed=1), tokenizer)
    pairs = zip(one.named_parameters(), same.named_parameters(), strict=True)
    assert all(name == twin and torch.equal(a, b) for (name, a), (twin, b) in pairs)
    ones = dict(one.named_parameters())["transformer.img_in.0.weight"]
    assert not torch.equal(ones, dict(other.named_parameters())["transformer.img_in.0.weight"])


def test_the_micro_preset_has_one_and_three_quarter_million_parameters() -> None:
    micro = load_preset("micro")
    model = build(micro, load_tokenizer(make_tokenizer(CAPTIONS, micro.text.vocabulary)))
    assert 1_600_000 < model.parameter_count() < 1_800_000


def test_the_gates_begin_where_the_config_says(tiny: RunConfig) -> None:
    tokenizer = load_tokenizer(make_tokenizer(CAPTIONS, 300))
    half = build(replace(tiny, model=replace(tiny.model, gate_start=0.5)), tokenizer)
    bias = dict(half.named_parameters())["transformer.blocks.0.modulation.lin.bias"]
    shift, scale, gate, shift2, scale2, gate2 = bias.chunk(6)
    assert (gate == 0.5).all()
    assert (gate2 == 0.5).all()
    assert not torch.cat((shift, scale, shift2, scale2)).any()


def test_captions_are_cleaned_and_padded_as_the_stock_pipeline_does(model: Model) -> None:
    from diffusers import PRXPixelPipeline  # noqa: PLC0415  heavy

    stock = PRXPixelPipeline(model.transformer, None, None, model.tokenizer, prompt_max_tokens=12)
    ids, mask = stock._tokenize_prompts(list(CAPTIONS), torch.device("cpu"))  # noqa: SLF001
    ours = Tokens.of(CAPTIONS, model.tokenizer, 12)
    assert torch.equal(ours.ids, ids)
    assert torch.equal(ours.mask, mask)
    assert clean("  caf&amp;eacute; ") == "café"


def test_a_caption_that_does_not_fit_is_counted(model: Model) -> None:
    tokens = Tokens.of(("word " * 30, "a red circle", ""), model.tokenizer, 12)
    assert tokens.truncated == 1
    assert tokens.mask.sum(dim=1)[0] == 12
    assert tokens.rows([1, 2]).ids.shape[1] == tokens.mask[1].sum()
    assert tokens.rows([2]).ids.shape == (1, 1)


def test_the_tokenizer_is_the_same_for_the_same_captions() -> None:
    assert make_tokenizer(CAPTIONS, 300) == make_tokenizer(CAPTIONS, 300)
    assert len(load_tokenizer(make_tokenizer(CAPTIONS * 9, 270))) <= 270


def test_a_batch_without_any_caption_still_learns(model: Model, tiny: RunConfig) -> None:
    untold = replace(tiny, objective=replace(tiny.objective, caption_drop_share=1.0))
    batch = _batch(model, untold)
    assert not batch.mask.any()
    parameters = [parameter for _, parameter in model.named_parameters()]
    objective = Objective(model, untold.objective)
    with alone(1) as team:
        loss = team.gradients(objective, lambda _: batch, parameters=parameters, parts=[0])
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in parameters)


def test_the_loss_is_the_error_of_the_velocity(model: Model, tiny: RunConfig) -> None:
    batch = _batch(model, tiny)
    assert ((batch.times > 0) & (batch.times < 1)).all()
    floor = tiny.objective.time_floor
    [seen] = model.transformer(
        batch.noisy,
        batch.times,
        model.encode(batch.ids, batch.mask),
        batch.mask,
        return_dict=False,
    )
    times = batch.times.clamp(min=floor)[:, None, None, None]
    wanted, got = (batch.noisy - batch.clean) / times, (batch.noisy - seen) / times
    loss = Objective(model, tiny.objective)(batch)
    torch.testing.assert_close(loss, (wanted - got).square().mean(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_together_find_the_gradient_of_the_whole_batch(
    model: Model, tiny: RunConfig, parts: int
) -> None:
    batch, rows = _batch(model, tiny, rows=4), 4 // parts
    objective = Objective(model, tiny.objective)

    def part_of(part: int) -> Noised:
        return _part(batch, slice(part * rows, (part + 1) * rows))

    parameters = [parameter for _, parameter in model.named_parameters()]
    whole = objective(batch)
    wanted = torch.autograd.grad(whole, parameters)
    before = torch.get_num_threads()
    with alone(parts) as team:
        loss = team.gradients(objective, part_of, parameters=parameters, parts=range(parts))
        found = [parameter.grad.clone() for parameter in parameters]
        again = team.gradients(objective, part_of, parameters=parameters, parts=range(parts))
    assert torch.get_num_threads() == before
    assert torch.equal(loss, again)
    assert all(torch.equal(p.grad, g) for p, g in zip(parameters, found, strict=True))
    torch.testing.assert_close(loss, whole.detach())
    for gradient, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5)


def test_a_fault_in_a_thread_reaches_the_caller() -> None:
    def broken(part: int) -> Noised:
        raise ZeroDivisionError

    with alone(2) as team, pytest.raises(ZeroDivisionError):
        team.gradients(torch.nn.Identity(), broken, parameters=[], parts=[0, 1])


def test_the_formula_counts_what_the_denoiser_computes() -> None:
    micro = load_preset("micro")
    model = build(micro, load_tokenizer(make_tokenizer(CAPTIONS, 300)))
    words, rows = 10, 4
    noisy = torch.randn(rows, 3, micro.image_px, micro.image_px)
    text, mask = torch.randn(rows, words, micro.text.width), torch.ones(rows, words).bool()
    with FlopCounterMode(display=False) as counter:
        model.transformer(noisy, torch.rand(rows), text, mask)
    counted = counter.get_total_flops() / rows * 3
    assert train_flops(micro, words) == pytest.approx(counted, rel=0.1)
