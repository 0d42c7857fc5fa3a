"""Teachers: what they see, what is learnt from it by published formulas, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from governance.errors import EvidenceMissing, Tampered, UsageError
from training.config import RunConfig, TeacherConfig, WeightsConfig
from training.model import Model, build
from training.objective import Noised, Objective, dice
from training.routing import Route
from training.taught.alignment import at_patches, make_head, misalignment
from training.taught.perceptual import distance
from training.taught.teachers import WITH_GRADIENT, Teacher, Teachers
from training.taught.weights import PLACE, PREPROCESSOR, folder_digest
from training.text.tokens import Tokens, load_tokenizer, make_tokenizer

SIDE, PATCH, WIDTH = 32, 8, 16
LENS = {"size": SIDE, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
PARTS = {
    "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": SIDE, "patch_size": PATCH,
}  # fmt: skip
MAPS = {"hidden_sizes": [8, 8, 12, 16], "depths": [1, 1, 1, 1]}
NETWORKS = {
    "clip": lambda: transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**PARTS)),
    "siglip": lambda: transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**PARTS)),
    "dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**PARTS)),
    "dinov2 with registers": lambda: transformers.Dinov2WithRegistersModel(
        transformers.Dinov2WithRegistersConfig(**PARTS)
    ),
    "dinov3": lambda: transformers.DINOv3ViTModel(
        transformers.DINOv3ViTConfig(**PARTS, num_register_tokens=4)
    ),
    "resnet": lambda: transformers.ResNetModel(
        transformers.ResNetConfig(**MAPS, embedding_size=8, layer_type="basic")
    ),
    "convnext": lambda: transformers.ConvNextModel(transformers.ConvNextConfig(**MAPS)),
}
CAPTIONS = ("a red circle", "", "a blue cross", "a green square")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(PLACE, str(tmp_path / "weights"))
    return tmp_path / "weights"


def pinned(place: Path, kind: str = "dinov2", **teaching: float) -> TeacherConfig:
    folder = place / kind.replace(" ", "-")
    if not folder.exists():
        torch.manual_seed(1)
        NETWORKS[kind]().save_pretrained(folder)
        (folder / PREPROCESSOR).write_text(json.dumps(LENS))
    weights = WeightsConfig(name=folder.name, sha256=folder_digest(folder))
    return TeacherConfig(**{"weights": weights, "weight": 0.5, "block": 0, **teaching})


def pictures(count: int = 2, side: int = SIDE) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_teacher_sees_each_patch_of_a_picture_in_its_place(place: Path, kind: str) -> None:
    teacher = Teacher.open(pinned(place, kind), "cpu")
    shown, other = pictures(), pictures()
    other[:, :, :8, -8:] *= -1  # the patch at the top right
    with torch.no_grad():
        seen, changed = teacher.maps(shown)[-1], teacher.maps(other)[-1]
    assert seen.shape[:2] == (2, teacher.width)
    apart = (seen - changed).abs().sum(dim=1)[0]
    if seen.shape[2] > 1:
        place_of = divmod(int(apart.argmax()), seen.shape[3])
        assert place_of == (0, seen.shape[3] - 1)
    assert apart.max() > 0
    assert teacher.flops > 0


@pytest.mark.parametrize(("kind", "layers"), [("dinov2", 1), ("resnet", 4), ("convnext", 4)])
def test_maps_are_looked_at_at_each_quarter_of_the_depth_and_tokens_at_the_end(
    place: Path, kind: str, layers: int
) -> None:
    seen = Teacher.open(pinned(place, kind), "cpu").maps(pictures())
    assert len(seen) == layers
    sides = [one.shape[2] for one in seen]
    assert sides == sorted(sides, reverse=True)
    assert [one.shape[1] for one in seen] == (MAPS["hidden_sizes"] if layers > 1 else [WIDTH])


def test_pictures_are_brought_as_the_folder_says(place: Path) -> None:
    teacher = Teacher.open(pinned(place), "cpu")
    levels = np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    resized = Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    mean, std = (np.array(LENS[name]) for name in ("image_mean", "image_std"))
    direct = (np.asarray(resized) / 255 - mean) / std
    model = transformers.Dinov2Model.from_pretrained(place / "dinov2").eval()
    with torch.no_grad():
        given = torch.from_numpy(direct).float().permute(2, 0, 1)[None]
        wanted = model(given).last_hidden_state[0, 1:]
        shown = torch.from_numpy(levels).float().permute(2, 0, 1)[None] / 127.5 - 1
        found = teacher.maps(shown)[-1].flatten(2)[0].mT
    assert (found - wanted).abs().mean() < 0.02 * wanted.std()  # Pillow rounds to levels


def test_the_alignment_is_the_cosine_of_the_paper() -> None:
    """Source: REPA, arXiv 2410.06940, L_REPA: minus the mean over patches of sim(y, h)."""
    said = torch.tensor([[[1.0, 0.0], [3.0, 4.0]]])
    wanted = torch.tensor([[[2.0, 0.0], [4.0, 3.0]]])  # cosines of 1 and 24/25
    assert float(misalignment(said, wanted, None)) == pytest.approx(1 - (1 + 0.96) / 2)
    assert float(misalignment(-said, wanted, None)) == pytest.approx(1 + 0.98)


def test_only_kept_tokens_are_aligned() -> None:
    wanted = torch.randn(2, 6, 3)
    route = Route(torch.tensor([[1, 4], [0, 5]]), 0, 1)
    said = torch.stack((wanted[0, [1, 4]], wanted[1, [0, 5]]))
    assert float(misalignment(said, wanted, route)) == pytest.approx(0, abs=1e-6)
    assert float(misalignment(said.flip(1), wanted, route)) > 0.01


def test_features_are_averaged_where_the_grid_is_coarser_and_blended_where_it_is_finer() -> None:
    columns = torch.arange(4.0).expand(1, 1, 4, 4)
    same = at_patches(columns, (4, 4))
    assert same.shape == (1, 16, 1)
    assert same[0, :4, 0].tolist() == [0, 1, 2, 3]
    coarser = at_patches(columns, (2, 2))[0, :2, 0]
    assert 0.5 <= float(coarser[0]) < 1  # nearest would say 0
    assert 2 < float(coarser[1]) <= 2.5
    finer = at_patches(columns, (4, 8))[0, :8, 0]
    assert (finer.diff() >= 0).all()
    assert len(set(finer.tolist())) > 4  # nearest would say each twice


def test_the_distance_is_that_of_lpips() -> None:
    """Source: arXiv 1801.03924, eq. 1: mean over places, sum over layers, weights of 1."""
    one = torch.tensor([[3.0, 4.0], [1.0, 0.0]]).mT.reshape(1, 2, 1, 2)
    other = torch.tensor([[4.0, 3.0], [5.0, 0.0]]).mT.reshape(1, 2, 1, 2)
    first = (0.04 + 0.04) / 2  # (3/5 - 4/5)^2 twice at one place, nothing at the other
    far = torch.tensor([[[[1.0]], [[0.0]]]]), torch.tensor([[[[0.0]], [[-2.0]]]])
    assert float(distance([one], [other])) == pytest.approx(first)
    assert float(distance([one, far[0]], [other, far[1]])) == pytest.approx(first + 2.0)


def test_the_distance_at_one_layer_is_twice_that_of_pdino() -> None:
    one, other = torch.randn(2, 5, 3, 3), torch.randn(2, 5, 3, 3)
    cosine = torch.nn.functional.cosine_similarity(one, other, dim=1).mean()
    torch.testing.assert_close(distance([one], [other]), 2 * (1 - cosine))


def test_the_head_has_three_layers_and_is_as_wide_as_the_wider_end() -> None:
    layers = [one for one in make_head(8, 12) if isinstance(one, torch.nn.Linear)]
    assert [(one.in_features, one.out_features) for one in layers] == [(8, 12), (12, 12), (12, 12)]


def taught(config: RunConfig, place: Path, **others) -> RunConfig:
    settings = {"repa": pinned(place, block=0), "perceptual": (pinned(place, "resnet"),), **others}
    return replace(config, objective=replace(config.objective, **settings))


def made(config: RunConfig) -> Model:
    return build(config, load_tokenizer(make_tokenizer(CAPTIONS, 300)))


def noised(model: Model, config: RunConfig, *, aligned: bool = True) -> Noised:
    pixels = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    tokens = Tokens.of(CAPTIONS, model.tokenizer, 12).rows(range(4))
    thrown = dice(1, step=0, part=0)
    return Noised.drawn(pixels, tokens, config, thrown, aligned=aligned)


def test_every_term_is_weighed_as_the_config_says(place: Path, tiny: RunConfig) -> None:
    def loss(**others) -> float:
        config = taught(tiny, place, **others)
        model = made(config)
        with torch.no_grad():
            return float(Objective(model, config.objective)(noised(model, config)))

    nobody = replace(pinned(place), weights=WeightsConfig(name="", sha256=""))
    plain = loss(repa=nobody, perceptual=())
    terms = {
        name: {"repa": nobody, "perceptual": (), **teacher}
        for name, teacher in (
            ("repa", {"repa": pinned(place)}),
            ("perceptual", {"perceptual": (pinned(place, "resnet"),)}),
        )
    }
    added = {name: loss(**settings) - plain for name, settings in terms.items()}
    assert 0 < added["repa"] < 0.5 * 2
    assert added["perceptual"] > 0
    assert loss() == pytest.approx(plain + sum(added.values()), rel=1e-4)
    light = loss(repa=pinned(place, weight=0.05), perceptual=())
    assert light - plain == pytest.approx(added["repa"] / 10, rel=1e-3)
    heavy = loss(repa=nobody, perceptual=(pinned(place, "resnet", weight=5.0),))
    assert heavy - plain == pytest.approx(10 * added["perceptual"], rel=1e-3)


def test_a_stage_without_alignment_leaves_the_heads_alone(place: Path, tiny: RunConfig) -> None:
    config = taught(tiny, place, perceptual=())
    model = made(config)
    objective = Objective(model, config.objective)
    parameters = dict(model.named_parameters())
    for aligned in (True, False):
        batch = noised(model, config, aligned=aligned)
        found = torch.autograd.grad(objective(batch), parameters.values())
        heads = [g for n, g in zip(parameters, found, strict=True) if n.startswith("heads.")]
        assert len(heads) == 6
        assert all(bool(gradient.any()) == aligned for gradient in heads)
    without = replace(config, objective=tiny.objective)
    plain = made(without)
    with torch.no_grad():
        torch.testing.assert_close(
            objective(noised(model, config, aligned=False)),
            Objective(plain, without.objective)(noised(plain, without)),
        )


def test_teachers_are_no_part_of_what_is_trained_and_never_move(place: Path, tiny) -> None:
    config = taught(tiny, place)
    model = made(config)
    objective = Objective(model, config.objective)
    frozen = [p for t in (model.teachers.repa, *model.teachers.perceptual)
              for p in t.network.parameters()]  # fmt: skip
    trained = {id(p) for p in objective.parameters()}
    assert trained == {id(p) for _, p in model.named_parameters()}
    assert not any(id(p) in trained or p.requires_grad for p in frozen)
    objective(noised(model, config)).backward()
    assert all(p.grad is None for p in frozen)
    assert all(p.grad.isfinite().all() for p in objective.parameters())


def test_the_same_weights_begin_with_and_without_teachers(place: Path, tiny: RunConfig) -> None:
    plain, other = (dict(made(one).named_parameters()) for one in (tiny, taught(tiny, place)))
    assert all(torch.equal(plain[name], other[name]) for name in plain)
    assert {name.split(".")[0] for name in other.keys() - plain.keys()} == {"heads"}


def test_operations_of_teachers_are_counted_a_picture(place: Path, tiny: RunConfig) -> None:
    both = Teachers.open(taught(tiny, place).objective, "cpu")
    [held] = both.perceptual
    assert both.flops == both.repa.flops + WITH_GRADIENT * held.flops
    block = 2 * 17 * (4 * WIDTH**2 + 2 * WIDTH**2) + 4 * 17**2 * WIDTH  # 16 patches and a class
    entry = 2 * 16 * 3 * PATCH**2 * WIDTH
    mlp = 2 * 17 * 2 * 4 * WIDTH**2 - 2 * 17 * 2 * WIDTH**2  # DINOv2's is 4 wide
    assert both.repa.flops == pytest.approx(2 * (block + mlp) + entry, rel=0.05)
    assert Teachers.open(tiny.objective, "cpu").flops == 0


@pytest.mark.parametrize(
    ("change", "fault", "said"),
    [
        (lambda f: (f / "more.py").write_text("print('run me')"), Tampered, "was pinned"),
        (lambda f: (f / "config.json").unlink(), EvidenceMissing, "config.json"),
    ],
    ids=["a file more", "no config"],
)
def test_a_teacher_that_is_not_the_one_pinned_teaches_nobody(
    place: Path, tiny: RunConfig, change, fault, said: str
) -> None:
    config = taught(tiny, place)
    change(place / "dinov2")
    with pytest.raises(fault, match=said):
        made(config)


@pytest.mark.parametrize(
    ("change", "fault", "said"),
    [
        (lambda f: (f / PREPROCESSOR).unlink(), EvidenceMissing, "has no preprocessor"),
        (lambda f: (f / "config.json").write_text('{"model_type": "t5"}'), UsageError, "'t5'"),
        (
            lambda f: (f / PREPROCESSOR).write_text(json.dumps({**LENS, "size": 4})),
            UsageError,
            "does not take pictures of 4 px",
        ),
    ],
    ids=["no lens", "another kind", "another size"],
)
def test_a_folder_that_cannot_teach_says_why(place: Path, change, fault, said: str) -> None:
    pinned(place)
    change(place / "dinov2")
    with pytest.raises(fault, match=said):
        Teacher.open(pinned(place), "cpu")
