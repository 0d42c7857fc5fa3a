"""A frozen text encoder: from a pinned folder, online or kept, read as stock diffusers does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import processors

from governance.errors import EvidenceMissing, Tampered, UsageError
from training.config import RunConfig, WeightsConfig
from training.export import export, load
from training.model import Model, build
from training.objective import Noised, Objective, dice
from training.records.record import quiet
from training.sample import Sampling, denoised
from training.taught.weights import PLACE, folder_digest
from training.text.encoder import open_encoder
from training.text.latents import CHOICE_FILE, INDEX_FILE, STATES_FILE, choice, prepared
from training.text.tokens import Tokens, load_tokenizer, make_tokenizer

CAPTIONS = ("a red circle at the left", "", "a blue cross", "a red circle at the left", "काला")
WIDTH, WORDS = 16, 24
PARTS = {"hidden_size": WIDTH, "intermediate_size": 16, "num_hidden_layers": 1,
         "num_attention_heads": 2, "vocab_size": 300, "max_position_embeddings": 64}  # fmt: skip
STACK = {**PARTS, "num_key_value_heads": 1, "head_dim": 8}
KINDS = {
    "t5": lambda: transformers.T5EncoderModel(
        transformers.T5Config(
            d_model=WIDTH,
            d_kv=8,
            d_ff=16,
            num_layers=1,
            num_heads=2,
            vocab_size=300,
            dropout_rate=0.0,
        )
    ),
    "bert": lambda: transformers.BertModel(transformers.BertConfig(**PARTS)),
    "clip": lambda: transformers.CLIPTextModel(transformers.CLIPTextConfig(**PARTS)),
    "qwen3": lambda: transformers.Qwen3Model(transformers.Qwen3Config(**STACK)),
    "t5gemma, both halves": lambda: transformers.T5GemmaModel(
        transformers.T5GemmaConfig(encoder=STACK, decoder=STACK, vocab_size=300)
    ),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(PLACE, str(tmp_path / "weights"))
    return tmp_path / "weights"


def saved(place: Path, kind: str = "t5") -> Path:
    """Write an encoder whose tokenizer ends every text, as T5's does: the empty one as well."""
    folder = place / kind.partition(",")[0]
    torch.manual_seed(1)
    KINDS[kind]().save_pretrained(folder)
    tokenizer = load_tokenizer(make_tokenizer(CAPTIONS, 290))
    tokenizer.add_special_tokens({"eos_token": "</s>"})
    end = ("</s>", tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[end]
    )
    tokenizer.save_pretrained(folder)
    return folder


def told_by(config: RunConfig, folder: Path, **text: object) -> RunConfig:
    encoder = WeightsConfig(name=folder.name, sha256=folder_digest(folder))
    settings = {"encoder": encoder, "width": WIDTH, "max_tokens": WORDS, **text}
    return replace(config, text=replace(config.text, **settings))


@pytest.fixture
def config(place: Path, tiny: RunConfig) -> RunConfig:
    return told_by(tiny, saved(place))


@pytest.fixture
def model(config: RunConfig) -> Model:
    return build(config, None)


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_says_what_transformers_has_it_say(place: Path, tiny, kind: str) -> None:
    model = build(told_by(tiny, saved(place, kind)), None)
    tokens = Tokens.of(CAPTIONS, model.tokenizer, WORDS).rows([0, 2])
    said = model.encode(tokens.ids, tokens.mask)
    torch.manual_seed(1)
    direct = KINDS[kind]().eval()
    if kind.startswith("t5gemma"):
        direct = direct.encoder
    with torch.no_grad():
        wanted = direct(input_ids=tokens.ids, attention_mask=tokens.mask).last_hidden_state
    torch.testing.assert_close(said[tokens.mask], wanted[tokens.mask])
    assert said.dtype == torch.float32
    assert not said.requires_grad


def test_a_frozen_encoder_is_not_trained(config: RunConfig, model: Model) -> None:
    names = {name.split(".")[0] for name, _ in model.named_parameters()}
    assert names == {"transformer"}
    objective = Objective(model, config.objective)
    assert {id(p) for p in objective.parameters()} == {id(p) for _, p in model.named_parameters()}
    assert all(not p.requires_grad for p in model.text_encoder.parameters())


def batch(config: RunConfig, model: Model, tokens: Tokens) -> Noised:
    pixels = torch.randint(0, 256, (5, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    return Noised.drawn(pixels, tokens.rows(range(5)), config, dice(1, step=0, part=0))


def kept(config: RunConfig, model: Model, folder: Path) -> Tokens:
    tokens = Tokens.of(CAPTIONS, model.tokenizer, WORDS)
    cached = replace(config, text=replace(config.text, latents="cached"))
    return prepared(cached, model, tokens, folder=folder, bars=quiet)


@pytest.mark.parametrize("drop", [0.0, 0.5, 1.0])
def test_kept_states_train_as_those_worked_out_each_time(
    tmp_path: Path, config: RunConfig, model: Model, drop: float
) -> None:
    config = replace(config, objective=replace(config.objective, caption_drop_share=drop))
    online = batch(config, model, Tokens.of(CAPTIONS, model.tokenizer, WORDS))
    cached = batch(config, model, kept(config, model, tmp_path))
    assert online.states is None
    assert torch.equal(cached.mask, online.mask)
    states = model.encode(online.ids, online.mask)
    torch.testing.assert_close(cached.states[cached.mask], states[online.mask])
    objective = Objective(model, config.objective)
    with torch.no_grad():
        torch.testing.assert_close(objective(cached), objective(online))


def test_a_caption_that_is_dropped_is_the_empty_prompt(config: RunConfig, model: Model) -> None:
    tokens = Tokens.of(CAPTIONS, model.tokenizer, WORDS).rows(range(5))
    dropped = tokens.without(torch.tensor([True, False, False, True, False]))
    assert tokens.untold == (model.tokenizer.eos_token_id,)
    for row in (0, 1, 3):
        assert dropped.ids[row][dropped.mask[row]].tolist() == [model.tokenizer.eos_token_id]
    assert torch.equal(dropped.ids[2], tokens.ids[2])


def test_each_caption_is_kept_once_at_its_length(tmp_path: Path, config, model) -> None:
    tokens = kept(config, model, tmp_path)
    different = {
        tuple(ids[mask].tolist()) for ids, mask in zip(tokens.ids, tokens.mask, strict=True)
    }
    assert len(different) == 4  # one is told twice, and one is the empty prompt
    size = 4 * WIDTH * sum(len(ids) for ids in different)
    assert (tmp_path / STATES_FILE).stat().st_size == size


def test_states_are_halved_where_training_is_in_bf16(tmp_path: Path, config, model) -> None:
    for name in ("fp32", "bf16"):
        (tmp_path / name).mkdir()
    whole = kept(config, model, tmp_path / "fp32")
    half = kept(replace(config, precision="bf16"), model, tmp_path / "bf16")
    one, other = whole.rows([0, 2]), half.rows([0, 2])
    assert other.states.dtype == torch.float32
    torch.testing.assert_close(one.states.bfloat16().float(), other.states)
    sizes = [(tmp_path / name / STATES_FILE).stat().st_size for name in ("fp32", "bf16")]
    assert sizes[0] == 2 * sizes[1]


@pytest.mark.parametrize("change", ["a flipped bit", "other captions", "nothing"])
def test_states_that_are_not_those_written_are_worked_out_again(
    tmp_path: Path, config, model, change: str
) -> None:
    before = kept(config, model, tmp_path).rows([0]).states
    path = tmp_path / STATES_FILE
    wanted, told = path.read_bytes(), []
    if change == "a flipped bit":
        path.write_bytes(bytes([wanted[0] ^ 1]) + wanted[1:])
    if change == "other captions":
        index = json.loads((tmp_path / INDEX_FILE).read_bytes())
        (tmp_path / INDEX_FILE).write_text(json.dumps({**index, "captions": "0" * 64}))

    def bars(what: str, _total: int | None):
        return lambda _: told.append(what)

    cached = replace(config, text=replace(config.text, latents="cached"))
    tokens = Tokens.of(CAPTIONS, model.tokenizer, WORDS)
    again = prepared(cached, model, tokens, folder=tmp_path, bars=bars)
    assert bool(told) == (change != "nothing")
    assert path.read_bytes() == wanted
    assert torch.equal(again.rows([0]).states, before)


@pytest.mark.parametrize(
    ("asked", "width", "chosen"),
    [("online", 16, "online"), ("cached", 16, "cached"), ("planned", 8, "cached"),
     ("planned", 256, "online")],
    ids=["asked online", "asked cached", "dear beside a small model", "cheap beside a large one"],
)  # fmt: skip
def test_states_are_kept_where_reading_them_again_would_cost_a_tenth_of_a_step(
    tmp_path: Path, place: Path, tiny: RunConfig, asked: str, width: int, chosen: str
) -> None:
    config = told_by(tiny, saved(place), latents=asked)
    config = replace(config, model=replace(config.model, width=width))
    model = build(config, None)
    tokens = Tokens.of(CAPTIONS, model.tokenizer, WORDS)
    said = choice(config, model, tokens, tmp_path)
    assert said.kept == chosen
    if asked == "planned":
        assert (said.encoder_share > 0.1) == (chosen == "cached")
    assert said.needed_bytes == int(tokens.mask.sum()) * WIDTH * 4
    prepared(config, model, tokens, folder=tmp_path, bars=quiet)
    assert json.loads((tmp_path / CHOICE_FILE).read_bytes())["kept"] == chosen


def test_an_encoder_in_training_keeps_nothing(tmp_path: Path, tiny: RunConfig) -> None:
    model = build(tiny, load_tokenizer(make_tokenizer(CAPTIONS, 300)))
    tokens = Tokens.of(CAPTIONS, model.tokenizer, WORDS)
    assert prepared(tiny, model, tokens, folder=tmp_path, bars=quiet) is tokens
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="do not last"):
        replace(tiny, text=replace(tiny.text, latents="cached"))


def test_without_a_tokenizer_there_is_no_encoder_of_our_own(tiny: RunConfig) -> None:
    with pytest.raises(UsageError, match="needs a tokenizer"):
        build(tiny, None)


def _without_tokenizer(folder: Path) -> None:
    for path in folder.glob("token*"):
        path.unlink()


@pytest.mark.parametrize(
    ("change", "text", "fault", "said"),
    [
        (lambda _: None, {"width": 24}, UsageError, "write 16"),
        (_without_tokenizer, {}, EvidenceMissing, "has no tokenizer"),
        (lambda f: (f / "config.json").write_text('{"model_type": "vit"}'), {}, UsageError, "vit"),
        (lambda f: (f / "model.safetensors").unlink(), {}, EvidenceMissing, "no safetensors"),
    ],
    ids=["another width", "no tokenizer", "another kind", "no tensors"],
)
def test_a_folder_that_cannot_read_says_why(
    place: Path, tiny: RunConfig, change, text, fault, said: str
) -> None:
    folder = saved(place)
    change(folder)
    with pytest.raises(fault, match=said):
        open_encoder(told_by(tiny, folder, **text).text, "cpu")


def test_more_tokens_than_it_has_places_for_are_refused(place: Path, tiny: RunConfig) -> None:
    folder = saved(place, "bert")
    with pytest.raises(UsageError, match="does not read 65 tokens"):
        open_encoder(told_by(tiny, folder, max_tokens=65).text, "cpu")


def test_another_digest_is_refused(config: RunConfig, place: Path) -> None:
    (place / "t5" / "more.py").write_text("print('run me')")
    with pytest.raises(Tampered, match="was pinned"):
        build(config, None)


def test_the_pipeline_takes_its_encoder_along(tmp_path: Path, config, model) -> None:
    from diffusers import PRXPixelPipeline  # noqa: PLC0415  heavy

    export(model, config, tmp_path / "pipeline")
    stock = PRXPixelPipeline.from_pretrained(tmp_path / "pipeline", local_files_only=True)
    stock.set_progress_bar_config(disable=True)
    tokens = Tokens.of(CAPTIONS, model.tokenizer, WORDS).rows([0])
    states, mask, untold, unseen = stock.encode_prompt(CAPTIONS[0])
    said = model.encode(tokens.ids, tokens.mask)
    torch.testing.assert_close(states[mask], said[tokens.mask])
    assert unseen.sum() == 1
    assert untold.isfinite().all()
    loaded, sampling = load(tmp_path / "pipeline"), replace(Sampling.of(config), steps=4)
    noise = sampling.noise(2, seed=1)
    [one, _] = denoised(model, CAPTIONS[:2], sampling, noise)
    [again, _] = denoised(loaded.model, CAPTIONS[:2], sampling, noise)
    assert one.tobytes() == again.tobytes()
    drawn = stock(
        CAPTIONS[0], num_inference_steps=5, use_resolution_binning=False, latents=noise[:1]
    )
    assert drawn.images[0].size == (16, 16)
