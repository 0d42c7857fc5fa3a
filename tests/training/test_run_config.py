"""Run configs: every setting named once, each held to its type and range."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from governance.errors import UsageError
from training.config import RunConfig, load_preset, presets


def _changed(path: str, value: object) -> dict:
    config = load_preset("micro").to_json()
    *sections, name = path.split(".")
    inner = config
    for section in sections:
        inner[section] = dict(inner[section])
        inner = inner[section]
    inner[name] = value
    return config


def test_every_preset_loads_and_comes_back_from_its_json() -> None:
    assert "micro" in presets()
    for name in presets():
        config = load_preset(name)
        assert config.preset == name
        assert RunConfig.from_json(config.to_json()) == config


def test_a_preset_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(UsageError, match="micro"):
        load_preset("../micro")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seeds", 1),
        ("model.dropout", 0.1),
        ("batch_size", 0),
        ("batch_size", 1.5),
        ("batch_size", True),
        ("batch_size", "32"),
        ("batch_size", None),
        ("seed", -1),
        ("parts", 3),
        ("device", "tpu"),
        ("precision", "fp8"),
        ("compile", "always"),
        ("parallel", "tp"),
        ("earlier", {"image_px": 16}),
        ("earlier", [{"image_px": 16}]),
        ("earlier", [{"time_share": 1.0, "image_px": 16, "batch_size": 32, "repa": True}]),
        ("earlier", [{"time_share": 0.5, "image_px": 12, "batch_size": 32, "repa": True}]),
        ("earlier", [{"time_share": 0.5, "image_px": 16, "batch_size": 33, "repa": True}]),
        ("data.keep", "tape"),
        ("data.widest", 0.5),
        ("model.kept_share", 0.0),
        ("model.routed_to", 5),
        ("model.resolution_embeds", 1),
        ("text.latents", "sometimes"),
        ("text.encoder.name", "an encoder without a digest"),
        ("objective.repa.block", 4),
        ("objective.time_shift", 0.0),
        ("objective.uniform_share", 1.5),
        (
            "objective.perceptual",
            [{"weights": {"name": "v", "sha256": ""}, "weight": 1, "block": 0}],
        ),
        ("preset", 3),
        ("image_px", 30),
        ("model", [1, 2]),
        ("model.width", 130),
        ("text.heads", 3),
        ("text.vocabulary", 256),
        ("optimiser.lr", float("nan")),
        ("optimiser.lr", float("inf")),
        ("optimiser.lr", -0.1),
        ("optimiser.kind", "sgd"),
        ("optimiser.kind", 1),
        ("objective.time_floor", 0.0),
        ("objective.caption_drop_share", 1.1),
        ("schedule.decay_share", 0.99),
        ("evaluation.resamples", 1),
        ("evaluation.extractor", ""),
        ("evaluation.extractor.name", "weights without a digest"),
        ("evaluation.clip.name", 3),
    ],
)
def test_a_setting_that_cannot_be_is_refused(path: str, value: object) -> None:
    with pytest.raises(UsageError, match=path.rpartition(".")[2].partition("_")[0]):
        RunConfig.from_json(_changed(path, value))


def test_a_missing_setting_is_refused() -> None:
    config = load_preset("micro").to_json()
    del config["seed"]
    with pytest.raises(UsageError, match="seed"):
        RunConfig.from_json(config)


def _settings(record: object) -> Iterator[tuple[str, ...]]:
    """Yield the path of every setting."""
    for field in fields(record):
        inner = getattr(record, field.name)
        below = _settings(inner) if is_dataclass(inner) else [()]
        yield from ((field.name, *path) for path in below)


def _other(record: object, path: tuple[str, ...]) -> object:
    """Return a record with one setting changed, without asking whether it can be trained."""
    name, *below = path
    value = getattr(record, name)
    if below:
        changed = _other(value, tuple(below))
    else:
        more = {str: "x", tuple: ("x",)}.get(type(value), 1)
        changed = value + more
    other = object.__new__(type(record))
    for field in fields(record):
        kept = changed if field.name == name else getattr(record, field.name)
        object.__setattr__(other, field.name, kept)
    return other


def test_the_digest_covers_every_setting() -> None:
    micro = load_preset("micro")
    paths = list(_settings(micro))
    assert ("evaluation", "extractor", "sha256") in paths
    assert len({micro.digest, *(_other(micro, path).digest for path in paths)}) == len(paths) + 1
