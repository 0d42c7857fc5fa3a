"""Captioned scenes whose truth is known: a coloured shape, somewhere, on a background.

`render` draws one as a camera might have seen it, `caption` says what is there, `oracle` reads it
back by rules. NumPy and Pillow only, so that the demo can make a dataset without torch.

Does not see: anything but these four attributes. A picture of no scene is still read as the
nearest one, so a score only means something for prompts of this grammar.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float64]

COLOURS = {
    "red": (214, 40, 40),
    "yellow": (240, 210, 40),
    "green": (40, 160, 60),
    "cyan": (40, 200, 215),
    "blue": (45, 75, 210),
    "purple": (150, 50, 180),
}
BACKGROUNDS = {
    "white": (222, 222, 222),
    "grey": (128, 128, 128),
    "black": (28, 28, 28),
    "brown": (118, 82, 48),
}
POSITIONS = {  # (x, y) of the shape's middle, as shares of the side
    "centre": (0.5, 0.5),
    "left": (0.26, 0.5),
    "right": (0.74, 0.5),
    "top": (0.5, 0.26),
    "bottom": (0.5, 0.74),
}
# Inside is negative; (u, v) is measured from the middle in radii, v pointing down.
SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "circle": lambda u, v: np.hypot(u, v) - 1.0,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) - 0.9,
    "triangle": lambda u, v: np.maximum(0.894 * abs(u) - 0.447 * v - 0.447, v - 0.9),
    "cross": lambda u, v: np.minimum(
        np.maximum(abs(u) - 1.0, abs(v) - 0.34), np.maximum(abs(v) - 1.0, abs(u) - 0.34)
    ),
}
TABLES: tuple[Mapping[str, object], ...] = (COLOURS, SHAPES, POSITIONS, BACKGROUNDS)
RADIUS_SHARE = (0.17, 0.22)
JITTER_SHARE = 0.03
LIGHT_SHARE = 0.10  # slow changes of light; with the haze they keep renders from looking copied
HAZE = 14.0  # of 255, slow as well
GRAIN = 5.0  # of 255, from pixel to pixel
TEMPLATE_PX = 16
HALF = 0.5
SPECK_SHARE = 0.2  # of the widest row: less than a cross's arm, more than noise
_GRAMMAR = re.compile(r"a (\w+) (\w+) at the (\w+) on a (\w+) background")


@dataclass(frozen=True, slots=True, order=True)
class Scene:
    """Four attributes, each a word of the tables above."""

    colour: str
    shape: str
    position: str
    background: str


def every_scene() -> tuple[Scene, ...]:
    """Return all 480 scenes, always in the same order."""
    return tuple(Scene(*words) for words in product(*TABLES))


def caption(scene: Scene) -> str:
    """Return the one caption of a scene."""
    return (
        f"a {scene.colour} {scene.shape} at the {scene.position} on a {scene.background} background"
    )


def parse(text: str) -> Scene | None:
    """Return the scene a caption speaks of, or None when it is not one of ours."""
    found = _GRAMMAR.fullmatch(text.strip())
    if found is None:
        return None
    known = all(word in table for word, table in zip(found.groups(), TABLES, strict=True))
    return Scene(*found.groups()) if known else None


def render(scene: Scene, size_px: int, rng: np.random.Generator) -> Image.Image:
    """Draw a scene: place, size, light and sensor noise differ each time."""
    x, y = POSITIONS[scene.position] + rng.uniform(-JITTER_SHARE, JITTER_SHARE, 2)
    radius = rng.uniform(*RADIUS_SHARE)
    across = (np.arange(size_px) + 0.5) / size_px
    u, v = np.meshgrid((across - x) / radius, (across - y) / radius)
    edge = 0.5 - SHAPES[scene.shape](u, v) * radius * size_px  # one pixel wide
    alpha = np.clip(edge, 0.0, 1.0)[..., None]
    ground, ink = np.array(BACKGROUNDS[scene.background]), np.array(COLOURS[scene.colour])
    picture = ground + alpha * (ink - ground)
    light, haze = _smooth(size_px, rng), _smooth(size_px, rng)
    picture = picture * (1.0 + LIGHT_SHARE * light) + HAZE * haze
    picture += rng.normal(0.0, GRAIN, picture.shape)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8), "RGB")


def _smooth(size_px: int, rng: np.random.Generator) -> Floats:
    """Return a random field (size, size, 1) of about unit variance that changes slowly."""
    coarse = Image.fromarray(rng.normal(size=(5, 5)).astype(np.float32))
    field = coarse.resize((size_px, size_px), Image.Resampling.BICUBIC)
    return np.asarray(field, dtype=np.float64)[..., None]


def oracle(image: Image.Image) -> Scene:
    """Read the four attributes back by rules: border, nearest ink, middle, outline."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
    height_px, width_px, _ = pixels.shape
    rim = max(1, height_px // 16)
    edges = (pixels[:rim], pixels[-rim:], pixels[:, :rim], pixels[:, -rim:])
    ground = np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0)
    background = _nearest(ground, BACKGROUNDS)
    colour, alpha = _ink(pixels, ground)
    y, x = (np.indices(alpha.shape) * alpha).sum(axis=(1, 2)) / max(alpha.sum(), 1e-9) + 0.5
    middle = np.array([x / width_px, y / height_px])
    return Scene(colour, _outline(alpha), _nearest(middle, POSITIONS), background)


def _ink(pixels: Floats, ground: Floats) -> tuple[str, Floats]:
    """Return the colour's name, and how much of each pixel is ink rather than ground (0..1)."""
    names = list(COLOURS)
    inks = np.array([COLOURS[name] for name in names], dtype=np.float64)
    palette = np.concatenate([ground[None], inks])
    nearest = np.linalg.norm(pixels[:, :, None] - palette, axis=-1).argmin(axis=-1)
    best = int(np.bincount(nearest.ravel(), minlength=len(palette))[1:].argmax())
    inked = pixels[nearest == best + 1]
    ink = np.median(inked, axis=0) if len(inked) else inks[best]
    towards = ink - ground
    alpha = (pixels - ground) @ towards / max(towards @ towards, 1e-9)
    return names[best], np.where(alpha > HALF, np.clip(alpha, 0.0, 1.0), 0.0)


def _outline(alpha: Floats) -> str:
    """Return the shape whose outline, stretched over its own box, differs least."""
    seen = _boxed(alpha)
    return min(SHAPES, key=lambda name: float(abs(seen - _template(name)).mean()))


def _template(shape: str) -> Floats:
    across = np.linspace(-1.25, 1.25, 100)
    return _boxed(np.where(SHAPES[shape](*np.meshgrid(across, across)) <= 0, 1.0, 0.0))


def _boxed(alpha: Floats) -> Floats:
    """Return the ink stretched to (16, 16), less the rows and columns that hold specks only."""
    for _ in range(2):  # rows, then columns
        mass = alpha.sum(axis=1)
        inked = np.nonzero(mass >= SPECK_SHARE * mass.max())[0]
        alpha = alpha[inked[0] : inked[-1] + 1].T
    box = Image.fromarray(alpha.astype(np.float32))
    return np.asarray(box.resize((TEMPLATE_PX, TEMPLATE_PX)), dtype=np.float64)


def _nearest(value: Floats, table: Mapping[str, tuple[float, ...]]) -> str:
    return min(table, key=lambda name: float(np.linalg.norm(value - np.array(table[name]))))
