"""`pramana draw`: what is asked for, what is refused, and what a picture then says of itself."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cli
from app.draw import Asked, Drawn, blocklist, check_by, draw
from audits.rights.c2pa_manifest import manifest_of
from audits.rights.embedded import xmp_of
from audits.rights.segments import segments_of
from audits.screening.detector import Weights
from governance.canon import canonical, file_sha256
from governance.errors import EvidenceMissing, PramanaError, Tampered, UsageError
from governance.images import decode
from governance.workspace import Workspace
from training.config import RunConfig, load_preset
from training.export import export
from training.model import build
from training.output.check import PictureCheck
from training.text.tokens import load_tokenizer, make_tokenizer

HOUSE, NUDE = "a house by the sea", "a nude figure"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder of a model that was never trained."""
    settings = load_preset("micro").to_json()
    small = {"width": 16, "depth": 1, "heads": 2, "bottleneck": 8}
    text = {"vocabulary": 300, "width": 8, "depth": 1, "heads": 2, "mlp_width": 8}
    config = RunConfig.from_json(
        {
            **settings,
            "image_px": 16,
            "model": {**settings["model"], **small},
            "text": {**settings["text"], **text},
        }
    )
    folder = tmp_path_factory.mktemp("exported") / "pipeline"
    tokenizer = load_tokenizer(make_tokenizer([HOUSE, NUDE], 300))
    export(build(config, tokenizer), config, folder)
    return folder


def asked(model: Path, out: Path, *prompts: str, **changes: object) -> Asked:
    told = {"target": str(model), "prompts": prompts or (HOUSE,), "out": out, "steps": 2}
    return Asked(**{**told, **changes})


def drawn_from(workspace: Path, told: Asked, check: PictureCheck | None = None) -> Drawn:
    return draw(workspace, told, check=check)


def test_pictures_are_written_with_their_origin_and_a_record_without_prompts(
    model: Path, tmp_path: Path
) -> None:
    drawn = drawn_from(tmp_path, asked(model, tmp_path / "out", HOUSE, NUDE, "a boat"))
    assert drawn.files == {0: "0000.png", 2: "0002.png"}
    assert [r.rule for r in drawn.refused] == ["OUT-SEXUAL"]
    assert sorted(p.name for p in drawn.folder.iterdir()) == [
        "0000.png", "0002.png", "drawn.json", "refused.jsonl",
    ]  # fmt: skip
    record = json.loads((drawn.folder / "drawn.json").read_bytes())
    assert record["pictures"]["0000.png"] == file_sha256(drawn.folder / "0000.png")
    assert record["refused"] == {"OUT-SEXUAL": 1}
    assert record["usage_policy"] == file_sha256(model / "usage_policy.md")
    assert record["picture_check"] is None
    everything = b"".join(p.read_bytes() for p in drawn.folder.iterdir())
    for word in (b"nude", b"house", b"boat"):
        assert word not in everything
    said = xmp_of(decode((drawn.folder / "0000.png").read_bytes()))
    weights = file_sha256(model / "transformer" / "diffusion_pytorch_model.safetensors")
    assert said["Iptc4xmpExt:AISystemVersionUsed"] == (weights,)
    assert record["weights"] == weights


def test_a_prompt_draws_the_same_picture_whatever_stands_beside_it(model, tmp_path) -> None:
    drawn_from(tmp_path, asked(model, tmp_path / "one", NUDE, HOUSE, seed=3))
    drawn_from(tmp_path, asked(model, tmp_path / "two", "a boat", HOUSE, seed=3))
    drawn_from(tmp_path, asked(model, tmp_path / "three", "a boat", HOUSE, seed=4))
    one, two, three = (
        decode((tmp_path / n / "0001.png").read_bytes()).image.tobytes()
        for n in ("one", "two", "three")
    )
    assert one == two != three


def test_where_all_is_refused_the_log_is_still_written(model: Path, tmp_path: Path) -> None:
    drawn = drawn_from(tmp_path, asked(model, tmp_path / "out", NUDE))
    assert not drawn.files
    [line] = (drawn.folder / "refused.jsonl").read_text().splitlines()
    assert json.loads(line).keys() == {"at", "digest", "kind", "place", "rule"}


def test_digests_match_within_a_workspace_and_nowhere_else(model: Path, tmp_path: Path) -> None:
    first, second = (Workspace.at(tmp_path / name).folder for name in ("a", "b"))
    digests = [
        drawn_from(folder, asked(model, tmp_path / str(n), NUDE)).refused[0].digest
        for n, folder in enumerate((first, first, second, tmp_path))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert not (tmp_path / ".pramana").exists()  # no workspace is made where none was


def test_a_picture_the_detector_refuses_is_not_written(model: Path, tmp_path: Path) -> None:
    check = PictureCheck(detector=lambda _image: {"FEMALE_BREAST_EXPOSED": 0.9}, name="given")
    drawn = drawn_from(tmp_path, asked(model, tmp_path / "out"), check)
    assert drawn.checked
    assert [(r.rule, r.at) for r in drawn.refused] == [("OUT-EXPOSED", "picture")]
    assert drawn.why["OUT-EXPOSED"].startswith("the detector saw")
    assert not list(drawn.folder.glob("*.png"))


def test_the_installed_detector_looks_at_what_is_drawn(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("nudenet")
    check = check_by(Weights.installed())
    drawn = drawn_from(tmp_path, asked(model, tmp_path / "out"), check)
    assert drawn.files == {0: "0000.png"}  # noise shows nobody
    record = json.loads((drawn.folder / "drawn.json").read_bytes())
    assert record["picture_check"].startswith("NudeNet 320n ")


def test_without_a_detector_one_must_say_unchecked() -> None:
    with pytest.raises(EvidenceMissing, match="--unchecked"):
        check_by(None)


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_a_signed_labelled_picture_verifies(model: Path, tmp_path: Path, form) -> None:
    workspace = Workspace.at(tmp_path).folder
    drawn = drawn_from(workspace, asked(model, tmp_path / "out", form=form, sign=True, label=True))
    data = (drawn.folder / f"0000.{form}").read_bytes()
    manifest = manifest_of(data, segments_of(data))
    assert (manifest.state, manifest.made_by_model) == ("untrusted", True)
    chain, key = (workspace / ".pramana" / "keys" / n for n in ("c2pa-chain.pem", "c2pa-key.pem"))
    mine = drawn_from(tmp_path, asked(model, tmp_path / "mine", chain=chain, key=key))
    assert manifest_of((mine.folder / "0000.png").read_bytes(), ()).state == "untrusted"


def test_names_the_operator_gives_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("# ours\nAsha Example Rao  # on request\n\n", "utf-8")
    rules = blocklist(tmp_path / "names.txt")
    reason = rules.against(rules.heard("asha example rao in a garden"))
    assert reason is not None
    assert reason.rule == "OUT-PERSON"


@pytest.mark.parametrize(
    ("changes", "fault", "said"),
    [
        ({"target": "nothing"}, UsageError, "no workspace"),
        ({"sign": True}, UsageError, "give --chain"),
        ({"chain": Path("chain.pem")}, UsageError, "go together"),
        ({"chain": Path("no.pem"), "key": Path("no.pem")}, EvidenceMissing, "not there"),
    ],
    ids=["no model", "nowhere to keep a key", "half a certificate", "no certificate"],
)
def test_what_cannot_be_asked_says_what_to_do(
    model, tmp_path, changes: dict, fault: type[PramanaError], said: str
) -> None:
    with pytest.raises(fault, match=said):
        drawn_from(tmp_path / "nowhere", asked(model, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_taken_is_left_alone(model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds files already"):
        drawn_from(tmp_path, asked(model, tmp_path / "out"))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_run_is_drawn_with_only_as_it_was_signed(copy: Workspace, model, tmp_path) -> None:
    """The run of this workspace holds a model of zeros that was signed with no digests."""
    with pytest.raises(Tampered, match="not the one that was signed"):
        drawn_from(copy.folder, asked(Path("latest"), tmp_path / "out"))


def test_another_class_of_pipeline_is_refused(model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    (other / "model_index.json").write_bytes(canonical({"_class_name": "FluxPipeline"}))
    with pytest.raises(UsageError, match="holds no PRXPixelPipeline"):
        drawn_from(tmp_path, asked(other, tmp_path / "out"))


def test_the_verb_tells_places_and_reasons_and_no_prompt(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--workspace", str(tmp_path), "draw", str(model), HOUSE, NUDE, "--out", str(out)]
    ended = CliRunner().invoke(cli, [*arguments, "--steps", "2", "--unchecked"])
    assert ended.exit_code == 3
    assert f"prompt 1: {out / '0000.png'}" in ended.stdout
    assert "prompt 2: refused at the prompt by OUT-SEXUAL" in ended.stderr
    assert "No detector looked at these pictures" in ended.stderr
    assert "nude" not in ended.output
