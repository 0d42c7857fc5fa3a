"""C2PA manifests inside a picture file: what they say of training, origin and rights.

Only what is embedded is read; no address is ever fetched. A manifest whose hashes or signature do
not verify is `invalid`: nothing it permits or licenses is believed, what it forbids still counts.

Does not see: who signed (no list of trusted signers is loaded, so a manifest that verifies is
`untrusted`), a manifest kept elsewhere (`remote`), and manifests that somebody took out.
"""

import functools
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from audits.rights.segments import APP11, PNG, SOI, Segments, has_chunk
from governance.canon import Json, parse_json, printable
from governance.errors import UsageError

if TYPE_CHECKING:
    from c2pa import Context

State = Literal["none", "remote", "unreadable", "invalid", "untrusted", "trusted"]

# Nothing is looked up: no remote manifest, no certificate status, no host at all.
SETTINGS: Mapping[str, Mapping[str, bool | list[str]]] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": []},
}
STATES: Mapping[str, State] = {"Invalid": "invalid", "Valid": "untrusted", "Trusted": "trusted"}
PNG_CHUNK = b"caBX"
MARKS = (b"jumb", b"c2pa")  # the box and the label every manifest store begins with

TRAINING, CREATIVE_WORK = "training-mining", "stds.schema-org.CreativeWork"
ACTIONS = "c2pa.actions"
ALLOWED, FORBIDDEN = "allowed", "notAllowed"
ANSWERS = frozenset({ALLOWED, FORBIDDEN, "constrained"})
USE, OTHER = re.compile(r"(?:c2pa|cawg)\.[a-z_]{1,40}"), "c2pa.other"  # it names a finding
MADE_BY_MODEL = "algorithmicmedia"  # IPTC digital source types that say a model made it
LONGEST = 120  # characters of a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the manifests of a file say, the active one and those of its ingredients.

    `training` has entries as `cawg.ai_training=notAllowed`; `agents` are the programs named where
    `made_by_model` is said; `said` are properties as XMP has them, of the active manifest.
    """

    state: State = "none"
    training: tuple[str, ...] = ()
    generator: str | None = None
    agents: tuple[str, ...] = ()
    made_by_model: bool = False
    said: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


NO_MANIFEST = Manifest()


def manifest_of(data: bytes, segments: Segments) -> Manifest:
    """Return what the C2PA manifests embedded in a file say.

    Args:
        data: the file.
        segments: those of `data`, where it is a JPEG.
    """
    if not _may_have_one(data, segments):
        return NO_MANIFEST
    from c2pa import C2paError, Reader  # noqa: PLC0415  heavy, and few files have a manifest

    try:
        with Reader(None, io.BytesIO(data), context=_offline()) as reader:
            told = parse_json(reader.json())
    except (C2paError, UsageError) as fault:
        missing = type(fault).__name__.endswith("ManifestNotFound")
        return NO_MANIFEST if missing else Manifest(state="unreadable")
    return _manifest(told)


def optouts_in(manifest: Manifest) -> Iterator[str]:
    """Yield uses for training that are not allowed, or allowed on conditions only.

    A manifest that cannot be read may say so too. Source: C2PA 1.4, section 18.21; CAWG training
    and data mining assertion 1.1.
    """
    if manifest.state == "unreadable":
        yield "c2pa:unreadable"
    for entry in manifest.training:
        use, _, answer = entry.partition("=")
        label, _, name = use.partition(".")
        if name != "ai_inference" and answer != ALLOWED:
            yield f"{label}:{name}" + ("" if answer == FORBIDDEN else f" {answer}")


def _may_have_one(data: bytes, segments: Segments) -> bool:
    """Say whether a manifest may be there: a JPEG has it in APP11, a PNG in a chunk of its own."""
    if data.startswith(SOI):
        return any(marker == APP11 for marker, _ in segments)
    if data.startswith(PNG):
        return has_chunk(data, PNG_CHUNK)
    return all(mark in data for mark in MARKS)


@functools.cache
def _offline() -> "Context":
    from c2pa import Context, Settings  # noqa: PLC0415  heavy

    return Context(Settings.from_dict({part: dict(keys) for part, keys in SETTINGS.items()}))


def _manifest(told: Json) -> Manifest:
    store = _object(told)
    manifests = _object(store.get("manifests"))
    active = _object(manifests.get(_text(store.get("active_manifest"))))
    state = STATES.get(_text(store.get("validation_state")), "unreadable")
    every = [a for m in manifests.values() for a in _assertions(_object(m))]
    made = [action for label, data in every for action in _actions(label, data)
            if MADE_BY_MODEL in _text(action.get("digitalSourceType")).lower()]  # fmt: skip
    training = {entry for label, data in every for entry in _training(label, data)}
    believed = state != "invalid"
    return Manifest(
        state=state,
        training=tuple(sorted(e for e in training if believed or not e.endswith(f"={ALLOWED}"))),
        generator=_generator(active) or None,
        agents=tuple(sorted({name for action in made if (name := _agent(action))})),
        made_by_model=bool(made),
        said=_properties(_assertions(active)),
    )


def _assertions(manifest: Mapping[str, Json]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for assertion in map(_object, _list(manifest.get("assertions"))):
        yield _text(assertion.get("label")).partition("__")[0], _object(assertion.get("data"))


def _training(label: str, data: Mapping[str, Json]) -> Iterator[str]:
    """Yield `cawg.ai_training=notAllowed`; the uses were spelt without prefix at first."""
    if not label.endswith(f".{TRAINING}"):
        return
    for use, entry in _object(data.get("entries")).items():
        name = use if "." in use else f"{label.partition('.')[0]}.{use}"
        answer = _text(_object(entry).get("use"))
        known = name if USE.fullmatch(name) else OTHER
        yield f"{known}={answer if answer in ANSWERS else 'unread'}"


def _actions(label: str, data: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    if label.startswith(ACTIONS):
        yield from map(_object, _list(data.get("actions")))


def _agent(action: Mapping[str, Json]) -> str:
    agent = action.get("softwareAgent")
    return _name(_text(agent) or _text(_object(agent).get("name")))


def _generator(manifest: Mapping[str, Json]) -> str:
    infos = [_object(info) for info in _list(manifest.get("claim_generator_info"))]
    named = next((_text(info.get("name")) for info in infos), "")
    return _name(named or _text(manifest.get("claim_generator")))


def _properties(
    assertions: Iterator[tuple[str, Mapping[str, Json]]],
) -> Mapping[str, tuple[str, ...]]:
    """Return metadata assertions and the creative work as XMP properties."""
    found: dict[str, tuple[str, ...]] = {}
    for label, data in assertions:
        said = {name: _texts(value) for name, value in data.items() if ":" in name}
        if label == CREATIVE_WORK:
            said = {
                "dc:creator": _texts(data.get("author")),
                "cc:license": _texts(data.get("license")),
                "dc:rights": _texts(data.get("copyrightNotice")),
            }
        for name, values in said.items():
            found[name] = (*found.get(name, ()), *values)
    return {name: values for name, values in found.items() if values}


def _texts(value: Json) -> tuple[str, ...]:
    """Return the texts in a value: it, those of a list, or the name or value of an object."""
    items = value if isinstance(value, list) else [value]
    texts = (_text(i) or _text(_object(i).get("name")) or _text(_object(i).get("@value"))
             for i in items)  # fmt: skip
    return tuple(text for text in texts if text)


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list) else ()


def _text(value: Json) -> str:
    return value.strip() if isinstance(value, str) else ""


def _name(text: str) -> str:
    return printable(text).strip()[:LONGEST]
