"""A second detector that the operator brings: an ONNX image classifier in a local file or folder.

Its bytes are pinned by digest and nothing is ever downloaded. It runs in a process of its own, as
the first one does, on the same thumbnail of at most 320 px, scaled whole to the network's input.

Does not see: how good the classifier is. What its maker says of it is not measured here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field, StringConstraints

from audits.screening.detector import PLAIN, Channels, Norms, Weights, run
from audits.settings import Hex, Name, Written, place_of
from governance.canon import digest, file_sha256, parse_json
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.records import as_object

UNSAFE = frozenset({"nsfw", "porn", "porno", "pornography", "hentai", "sexy", "nude", "nudity",
                    "explicit", "sexual", "unsafe"})  # fmt: skip
ONNX = ("model.onnx", "onnx/model.onnx")  # where exporters put the network

Size = Annotated[int, Field(ge=16, le=1024)]
Triple = Annotated[list[float], Field(min_length=3, max_length=3)]
Labels = Annotated[list[str], Field(min_length=1)]


class SecondTable(Written):
    """The table `second` in [audits.nsfw]. The last four are for a single file alone."""

    path: Annotated[str, StringConstraints(min_length=1)]
    sha256: Hex  # of the file, or over the whole folder
    name: Name = "second detector"
    score: Annotated[float, Field(gt=0, lt=1)] = 0.5
    unsafe: Labels | None = None
    probabilities: bool = False
    labels: Labels | None = None
    size_px: Size | None = None
    mean: Triple | None = None
    std: Triple | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """How a picture is handed to the network, and the names of what comes out."""

    labels: tuple[str, ...]
    size_px: tuple[int, int]  # width, height
    norms: Norms
    resample: int = int(Image.Resampling.BILINEAR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """A classifier: its bytes, how it is fed, and which of its labels count."""

    name: str
    sha256: str  # what was pinned
    weights: Weights
    fed: Fed
    unsafe: tuple[str, ...]
    probabilities: bool = False  # whether it gives these, or logits
    score: float = 0.5  # from here a picture counts as exposed by this detector

    @classmethod
    def of(cls, told: SecondTable, folder: Path) -> Self:
        """Return the detector that a table names, once its bytes are those that were pinned.

        Raises:
            EvidenceMissing: it is not there.
            Tampered: it has other bytes.
            UsageError: it is of a kind that is not run, or does not say what its labels are.
        """
        path = place_of(told.path, folder, "second detector")
        found = folder_sha256(path) if path.is_dir() else file_sha256(path)
        if found != told.sha256:
            raise Tampered(
                f"The second detector {path.name!r} has the digest {found}; pramana.toml pins "
                f"{told.sha256[:12]}. Restore it, or look at what it is and pin what it is."
            )
        fed = _fed_as_the_folder_says(told, path) if path.is_dir() else _fed_as_told(told)
        return cls(
            name=told.name,
            sha256=found,
            weights=Weights.at(_network_in(path) if path.is_dir() else path),
            fed=fed,
            unsafe=_unsafe(fed.labels, told.unsafe),
            probabilities=told.probabilities,
            score=told.score,
        )

    @property
    def label(self) -> str:
        """Return how findings and cases name this detector."""
        return f"{self.name}@{self.sha256[:12]}"

    def score_of(self, image: Image.Image) -> float:
        """Return how much of its belief the classifier gives to the labels that count, in 0..1.

        Raises:
            EvidenceMissing: its process ended, or it gave other numbers than one a label.
            Tampered: its bytes changed.
        """
        resample = Image.Resampling(self.fed.resample)
        pixels = np.asarray(image.resize(self.fed.size_px, resample))
        given = run(self.weights, pixels, self.fed.norms)[:, 0].astype(np.float64)
        shares = given if self.probabilities else _shares(given)
        if len(shares) != len(self.fed.labels) or not ((shares >= 0) & (shares <= 1)).all():
            raise EvidenceMissing(
                f"The second detector gave {len(given)} numbers for {len(self.fed.labels)} labels, "
                "or numbers that are no probabilities; correct `labels` or `probabilities`."
            )
        counted = [label in self.unsafe for label in self.fed.labels]
        return min(1.0, round(float(shares[counted].sum()), 4))


def folder_sha256(folder: Path) -> str:
    """Return one digest over the names and bytes of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest({path.relative_to(folder).as_posix(): file_sha256(path) for path in files})


def _shares(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return softmax, or of one logit alone the logistic function; NaN where it has no number."""
    with np.errstate(all="ignore"):
        if len(logits) == 1:
            return np.asarray(1 / (1 + np.exp(-logits)))
        raised = np.exp(logits - logits.max())
        return np.asarray(raised / raised.sum())


def _network_in(folder: Path) -> Path:
    """Return the ONNX file of a folder. Raises UsageError where there is none, or it is in two."""
    found = next((folder / name for name in ONNX if (folder / name).is_file()), None)
    if found is None:
        raise UsageError(
            f"The second detector {folder.name!r} has no {' or '.join(ONNX)}; other formats are "
            "not run. Export it once, for example with `optimum-cli export onnx --model FOLDER "
            "--task image-classification OUT`, and pin OUT."
        )
    if any(found.parent.glob(f"{found.name}*data")) or any(found.parent.glob("*.onnx.data")):
        raise UsageError(
            f"The second detector {folder.name!r} keeps its weights in a file beside the network; "
            "export both into one file."
        )
    return found


def _fed_as_told(told: SecondTable) -> Fed:
    if told.labels is None or told.size_px is None:
        raise UsageError(
            "A second detector that is a single file says nothing of itself; give `labels` and "
            "`size_px` in pramana.toml, and `mean` and `std` where it wants them."
        )
    norms = Norms(mean=_channels(told.mean, PLAIN.mean), std=_channels(told.std, PLAIN.std))
    return Fed(labels=tuple(told.labels), size_px=(told.size_px, told.size_px), norms=norms)


def _fed_as_the_folder_says(told: SecondTable, folder: Path) -> Fed:
    """Read config.json and preprocessor_config.json as transformers writes them."""
    if any(key is not None for key in (told.labels, told.size_px, told.mean, told.std)):
        raise UsageError(
            "A second detector that is a folder says its labels, size, mean and std itself; take "
            "them out of pramana.toml."
        )
    named = _json_of(folder, "config.json").get("id2label", {})
    steps = _json_of(folder, "preprocessor_config.json")
    try:
        labels = tuple(str(named[str(place)]) for place in range(len(named)))
        norms = PLAIN
        if steps.get("do_normalize", True):
            norms = Norms(mean=_channels(steps["image_mean"]), std=_channels(steps["image_std"]))
        size_px = _size_px(steps.get("crop_size") or steps["size"])
        resample = int(Image.Resampling(steps.get("resample", Image.Resampling.BILINEAR)))
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            f"The second detector {folder.name!r} does not say its labels, size, mean and std as "
            "transformers writes them; name the ONNX file itself, and say them in pramana.toml."
        ) from None
    return Fed(labels=labels, size_px=size_px, norms=norms, resample=resample)


def _json_of(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise UsageError(f"The second detector {folder.name!r} has no {name}; export it whole.")
    return as_object(parse_json(path.read_bytes()), name)


def _size_px(size: object) -> tuple[int, int]:
    match size:
        case int():
            return size, size
        case {"height": int(height), "width": int(width)}:
            return width, height
        case {"shortest_edge": int(side)}:
            return side, side
        case _:
            raise ValueError


def _channels(told: object, otherwise: Channels | None = None) -> Channels:
    """Return three numbers. Raises ValueError, TypeError when they are none."""
    if told is None and otherwise is not None:
        return otherwise
    if not isinstance(told, list):
        raise TypeError
    red, green, blue = (float(number) for number in told)
    return red, green, blue


def _unsafe(labels: tuple[str, ...], chosen: list[str] | None) -> tuple[str, ...]:
    """Return the labels that count. Raises UsageError when none does, or one is not there."""
    if chosen is None:
        chosen = [label for label in labels if label.casefold() in UNSAFE]
    if not chosen or set(chosen) - set(labels):
        raise UsageError(
            f"The second detector's labels are {', '.join(labels)}; say in pramana.toml which of "
            "them count, as `unsafe`."
        )
    return tuple(chosen)
