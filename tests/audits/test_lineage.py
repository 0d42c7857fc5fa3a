import pytest

from audits.rights.c2pa_manifest import NO_MANIFEST, Manifest
from audits.rights.embedded import DESCRIPTION, SOFTWARE, USER_COMMENT
from audits.rights.lineage import generator_of, model_id, models_in_file

PARAMETERS = (
    "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Size: 512x512, "
    "Model hash: 31e35c80fc, Model: {}, Version: v1.9"
)
GRAPH = '{{"4": {{"class_type": "CheckpointLoaderSimple", "inputs": {{{}}}}}}}'
JOB = "a cat --v 6 Job ID: 0f1e2d3c-0000-1111-2222-333344445555"


def in_file(*, xmp=None, exif=None, text=(), manifest=NO_MANIFEST):
    return generator_of("", models_in_file(xmp or {}, exif or {}, text, manifest))


@pytest.mark.parametrize(
    ("marks", "model"),
    [
        ({"text": (("parameters", PARAMETERS.format("sd_xl_base_1.0")),)}, "stable-diffusion-xl"),
        ({"text": (("parameters", PARAMETERS.format("ourMix v2")),)}, "ourmix v2"),
        ({"text": (("parameters", "Steps: 20, Sampler: Euler"),)}, "unstated"),
        ({"exif": {USER_COMMENT: PARAMETERS.format("v1-5-pruned-emaonly")}},
         "stable-diffusion-1.5"),
        ({"text": (("prompt", GRAPH.format('"ckpt_name": "flux1-dev.safetensors"')),)},
         "flux.1-dev"),
        ({"text": (("workflow", GRAPH.format("")),)}, "unstated"),
        ({"exif": {DESCRIPTION: JOB}}, "midjourney"),
        ({"xmp": {"dc:description": (JOB,)}}, "midjourney"),
        ({"text": (("Software", "NovelAI"),)}, "novelai"),
        ({"exif": {SOFTWARE: "Adobe Photoshop 25"}}, None),
        ({"text": (("prompt", "a question to the reader"), ("Comment", "Steps: two"))}, None),
        ({"xmp": {"Iptc4xmpExt:AISystemUsed": ("Imagen 4",)}}, "imagen 4"),
        ({"xmp": {"Iptc4xmpExt:DigitalSourceType":
                  ("http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",)}},
         "unstated"),
        ({"manifest": Manifest(made_by_model=True, generator="ChatGPT")}, "chatgpt"),
        ({"manifest": Manifest(made_by_model=True, generator="x", agents=("DALL·E 3",))},
         "dall-e-3"),
        ({"manifest": Manifest(made_by_model=True)}, "unstated"),
        ({"manifest": Manifest(generator="Photoshop")}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_what_generators_leave_in_files_names_them(marks, model):
    assert in_file(**marks) == model


@pytest.mark.parametrize(
    ("stated", "found", "model"),
    [
        ("SDXL", ["stable-diffusion-xl"], "stable-diffusion-xl"),
        ("flux.1-schnell", ["Midjourney"], "flux.1-schnell + midjourney"),
        ("SDXL", ["unstated"], "stable-diffusion-xl"),
        ("", ["unstated"], "unstated"),
        ("", [], None),
    ],
    ids=["the same", "two", "one named, one not", "not named", "none"],
)
def test_all_that_is_named_made_the_picture(stated, found, model):
    assert generator_of(stated, found) == model


def test_a_hostile_name_is_kept_printable_and_short():
    assert model_id("\u202eevil\n" * 99).isprintable()
    assert len(model_id("x" * 9999)) == 120


@pytest.mark.parametrize("stated", ["human", "Manual", "n/a", ""])
def test_a_caption_that_a_person_wrote_has_no_model(stated):
    assert model_id(stated) == ""
