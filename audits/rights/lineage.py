"""Which model made a picture or its caption: what is stated, and what generators leave in files.

Does not see: a picture whose metadata somebody took out, and a model that nobody names. Whether a
model's terms allow training stands in the policies' reference data.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from audits.rights.c2pa_manifest import MADE_BY_MODEL, Manifest
from audits.rights.embedded import DESCRIPTION, SOFTWARE, USER_COMMENT, Xmp
from governance.canon import printable

UNSTATED = "unstated"  # the file says that a model made it, nothing says which
BETWEEN = " + "  # between the models of one picture; no single one speaks for it
LONGEST = 120  # characters of a name that somebody wrote
NOBODY = frozenset({"human", "humans", "manual", "none", "n/a", "no", "null", "original"})

# A model's usual names, without its owner and punctuation, to one id. Others stay as stated.
GENERATORS = MappingProxyType({
    "flux 1 dev": "flux.1-dev", "flux1 dev": "flux.1-dev", "flux dev": "flux.1-dev",
    "flux 1 schnell": "flux.1-schnell", "flux1 schnell": "flux.1-schnell",
    "flux schnell": "flux.1-schnell", "midjourney": "midjourney", "mid journey": "midjourney",
    "dall e 2": "dall-e-2", "dalle 2": "dall-e-2", "dalle2": "dall-e-2", "dall e 3": "dall-e-3",
    "dalle 3": "dall-e-3", "dalle3": "dall-e-3", "sdxl": "stable-diffusion-xl",
    "sd xl base 1 0": "stable-diffusion-xl", "sdxl base 1 0": "stable-diffusion-xl",
    "stable diffusion xl base 1 0": "stable-diffusion-xl", "sdxl 1 0": "stable-diffusion-xl",
    "stable diffusion v1 5": "stable-diffusion-1.5", "sd 1 5": "stable-diffusion-1.5",
    "sd15": "stable-diffusion-1.5", "stable diffusion 1 5": "stable-diffusion-1.5",
    "v1 5 pruned": "stable-diffusion-1.5", "v1 5 pruned emaonly": "stable-diffusion-1.5",
    "stable diffusion 3 medium": "stable-diffusion-3", "sd3": "stable-diffusion-3",
    "stable diffusion 3": "stable-diffusion-3", "sd3 5": "stable-diffusion-3.5",
    "stable diffusion 3 5 large": "stable-diffusion-3.5",
})  # fmt: skip
_OWNERS = re.compile(r"^(?:black forest labs|stabilityai|openai|runwayml)\s*/\s*")
_WEIGHTS = re.compile(r"\.(?:safetensors|ckpt|gguf)$")

# What programs write: AUTOMATIC1111's parameters, ComfyUI's graph, Midjourney's job, as they
# stand in PNG text, in the user comment and in descriptions.
_SETTINGS = re.compile(r"\bSteps: \d+, Sampler: ")
_MODEL = re.compile(r"\bModel: ([^,\n]{1,120})")
_GRAPH = re.compile(r'"class_type"\s*:')
_LOADED = re.compile(r'"(?:ckpt_name|unet_name)"\s*:\s*"([^"]{1,120})"')
_JOB = re.compile(r"\bJob ID: [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_PROGRAMS = MappingProxyType({"novelai": "novelai", "midjourney": "midjourney"})
TEXTS = frozenset({"parameters", "prompt", "workflow", "description", "comment"})
SOURCE_TYPE, SYSTEM = "Iptc4xmpExt:DigitalSourceType", "Iptc4xmpExt:AISystemUsed"


def model_id(stated: str) -> str:
    """Return one id for a model's usual names, else what was stated in lower case, '' for none."""
    said = " ".join(printable(stated).lower().split())[:LONGEST]
    name = _WEIGHTS.sub("", said)
    plain = " ".join(re.findall(r"[a-z0-9]+", _OWNERS.sub("", name.replace("-", " "))))
    return "" if said in NOBODY else GENERATORS.get(plain, name)


def generator_of(stated: str, in_file: Iterable[str]) -> str | None:
    """Return the generator of a picture: all that is named, or that one is, or None."""
    named = {model_id(stated), *map(model_id, in_file)} - {""}
    return BETWEEN.join(sorted(named - {UNSTATED})) or next(iter(named), None)


def models_in_file(
    xmp: Xmp, exif: Mapping[int, str], text: Iterable[tuple[str, str]], manifest: Manifest
) -> Iterator[str]:
    """Yield the generators a file names; `unstated` where it says that one made it."""
    yield from xmp.get(SYSTEM, ())
    if any(MADE_BY_MODEL in value.lower() for value in xmp.get(SOURCE_TYPE, ())):
        yield UNSTATED
    if manifest.made_by_model:
        yield from manifest.agents or (manifest.generator or UNSTATED,)
    written = [value for key, value in text if key.lower() in TEXTS]
    written += [exif[tag] for tag in (DESCRIPTION, USER_COMMENT) if tag in exif]
    for value in (*written, *xmp.get("dc:description", ())):
        yield from _models_in_text(value)
    programs = [exif.get(SOFTWARE, ""), *(v for key, v in text if key.lower() == "software")]
    yield from (_PROGRAMS[p.lower()] for p in programs if p.lower() in _PROGRAMS)


def _models_in_text(value: str) -> Iterator[str]:
    if _JOB.search(value):
        yield "midjourney"
    if _SETTINGS.search(value):
        yield from _MODEL.findall(value)[:1] or (UNSTATED,)
    if _GRAPH.search(value):
        yield from _LOADED.findall(value) or (UNSTATED,)
