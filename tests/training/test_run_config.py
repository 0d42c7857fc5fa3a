"""Run configs: every setting named once, each held to its type and range."""

from dataclasses import fields, is_dataclass, replace

import pytest

from governance.errors import UsageError
from training.config import RunConfig, load_preset, presets


def _changed(path: str, value: object) -> dict:
    config = load_preset("micro").to_json()
    *sections, name = path.split(".")
    for section in sections:
        config[section] = dict(config[section])
    inner = config
    for section in sections:
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
        ("threads", 33),
        ("preset", 3),
        ("image_px", 30),
        ("model", [1, 2]),
        ("model.width", 130),
        ("text.heads", 3),
        ("text.vocabulary", 256),
        ("optimiser.lr", float("nan")),
        ("optimiser.lr", float("inf")),
        ("optimiser.lr", -0.1),
        ("objective.time_floor", 0.0),
        ("objective.caption_drop_share", 1.1),
        ("schedule.decay_share", 0.99),
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


def test_the_digest_covers_every_setting() -> None:
    micro = load_preset("micro")
    digests = {micro.digest}
    for section in fields(micro):
        value = getattr(micro, section.name)
        if not is_dataclass(value):
            changed = [f"{value}x"] if isinstance(value, str) else [value * 2]
            digests |= {replace(micro, **{section.name: new}).digest for new in changed}
            continue
        for inner in fields(value):
            halved = getattr(value, inner.name) / 2
            changed = replace(value, **{inner.name: halved})
            other = RunConfig.__new__(RunConfig)
            for name in (f.name for f in fields(micro)):
                object.__setattr__(other, name, getattr(micro, name))
            object.__setattr__(other, section.name, changed)
            digests.add(other.digest)
    settings = sum(
        len(fields(getattr(micro, f.name))) if is_dataclass(getattr(micro, f.name)) else 1
        for f in fields(micro)
    )
    assert len(digests) == settings + 1
