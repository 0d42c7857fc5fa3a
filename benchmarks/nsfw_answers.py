"""What the NSFW audit answers on the shared data: words, faces, false alarms, hash lists, cost.

Nothing here is explicit. What the detector finds among explicit pictures was measured elsewhere
(recall about 0.6) and is not measured here.

    python benchmarks/nsfw_answers.py [DATA]    # ../shared/data when not given
"""

import csv
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow.parquet as pq

from audits.audit import LONGEST_PX
from audits.captions import lexicon, stated
from audits.nsfw import YOUNG
from audits.screening.boxes import EXPOSED, Detection, detections, network_input
from audits.screening.detector import Weights, run
from audits.screening.hashlists import DISTANCE, QUALITY, Fingerprints, PdqHashes, PdqIndex
from governance.errors import EvidenceMissing
from governance.images import Undecodable, decode
from governance.snapshot import image_bytes

DATA = Path(__file__).parents[2] / "shared" / "data"
POLICY_SCORE = 0.45  # COM-NSFW of the commercial pack
PORTRAITS = ("neardup/copies/astronaut__orig.jpg", "neardup/hopper/hopper.jpg")
INDEXED = 100_000
NUDITY = "about=nudity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How many of some captions speak of nudity, of a minor, and of both together."""

    captions: int
    nudity: int
    minor: int
    both: int


def words(data: Path) -> dict[str, Said]:
    """Return what the word lists hear in COCO's captions, and in lists of offensive words."""
    coco = pq.read_table(data / "licences" / "coco_val2017_captions.parquet")["captions"]
    texts = {"COCO 2017 captions": [caption for rows in coco.to_pylist() for caption in rows]}
    for language in ("en", "hi"):
        path = data / "text" / f"blocklist_{language}.txt"
        texts[path.name] = path.read_text(encoding="utf-8").split("\n")
    return {name: _said([text for text in told if text.strip()]) for name, told in texts.items()}


def faces(data: Path) -> dict[str, float]:
    """Return the best face score of each portrait in the public domain."""
    return {
        name: max(d.score for d in _seen((data / name).read_bytes()) if "FACE" in d.label)
        for name in PORTRAITS
    }


def false_alarms(data: Path, *, every: int = 1) -> dict[str, tuple[int, int, float]]:
    """Return pictures, those over the policy's score, and the highest exposed score, by set.

    Of the photographs of fruit every first, or every n-th, is looked at.
    """
    photographs = sorted((data / "neardup" / "copies").glob("*__orig.jpg"))
    grocery = pq.read_table(data / "photos" / "grocery.parquet", columns=["image"])["image"]
    fruit = grocery.to_pylist()[::every]
    return {
        "photographs of scikit-image": _alarms(path.read_bytes() for path in photographs),
        "photographs of fruit": _alarms(image_bytes(cell) for cell in fruit),
    }


def pdq_matches(data: Path) -> dict[str, tuple[int, int]]:
    """Return how many copies a PDQ list of the originals matches, by kind, and of how many.

    `different` are pairs of other pictures: each match there is a false one. Pairs with a file that
    is not decoded are left out.
    """
    found: dict[str, tuple[int, int]] = {}
    with (data / "neardup" / "pairs.csv").open(newline="", encoding="utf-8") as stream:
        pairs = list(csv.DictReader(stream))
    for pair in pairs:
        original, copy = (_pdq(data / "neardup" / pair[name]) for name in ("image_a", "image_b"))
        if original is not None and copy is not None:
            hashes, quality = copy
            match = quality >= QUALITY and PdqIndex(original[0][:1]).holds(hashes, DISTANCE)
            matched, total = found.get(pair["kind"], (0, 0))
            found[pair["kind"]] = matched + match, total + 1
    return dict(sorted(found.items()))


def costs(data: Path) -> dict[str, float]:
    """Return milliseconds of one sample: each list kind, the words, the detector."""
    image = (data / PORTRAITS[0]).read_bytes()
    picture = decode(image, longest_px=LONGEST_PX)
    hashes = np.random.default_rng(1).integers(0, 256, (INDEXED, 32), dtype=np.uint8)
    index, queries = PdqIndex(hashes), Fingerprints(image, picture).pdq[0]
    weights = Weights.installed()
    if weights is None:
        raise EvidenceMissing("No detector is installed: install pramana[nsfw].")
    return {
        f"MD5 of {len(image) / 1024:.0f} KiB": _ms(
            lambda: Fingerprints(image, picture).exact("md5")
        ),
        "PDQ hash, eight positions": _ms(lambda: Fingerprints(image, picture).pdq),
        f"PDQ search among {INDEXED:,}": _ms(lambda: index.holds(queries, DISTANCE)),
        "words of a caption": _ms(lambda: stated("a girl with a red ball", lexicon("safety"))),
        "NudeNet, with its pipe": _ms(lambda: run(weights, network_input(picture.image))),
    }


def _said(texts: Sequence[str]) -> Said:
    heard = [set(stated(text, lexicon("safety"))) for text in texts]
    nudity = [NUDITY in said for said in heard]
    minor = [bool(YOUNG & said) for said in heard]
    both = sum(one and other for one, other in zip(nudity, minor, strict=True))
    return Said(captions=len(texts), nudity=sum(nudity), minor=sum(minor), both=both)


def _seen(image: bytes) -> tuple[Detection, ...]:
    weights = Weights.installed()
    if weights is None:
        raise EvidenceMissing("No detector is installed: install pramana[nsfw].")
    picture = decode(image, longest_px=LONGEST_PX).image
    return detections(run(weights, network_input(picture)), picture.size)


def _alarms(images: Iterable[bytes]) -> tuple[int, int, float]:
    scores = [
        max((d.score for d in _seen(image) if d.label in EXPOSED), default=0.0) for image in images
    ]
    return len(scores), sum(score >= POLICY_SCORE for score in scores), max(scores)


@cache
def _pdq(path: Path) -> tuple[PdqHashes, int] | None:
    image = path.read_bytes()
    try:
        return Fingerprints(image, decode(image, longest_px=LONGEST_PX)).pdq
    except Undecodable:
        return None


def _ms(work: Callable[[], object], *, repeats: int = 30) -> float:
    """Return the median time of some work in milliseconds, after one try unmeasured."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return 1e3 * median(times)


def main(arguments: Sequence[str]) -> int:
    """Print the tables; return the exit status."""
    data = Path(arguments[0]) if arguments else DATA
    if not data.is_dir():
        print(f"There is no data folder {data.name} there; give its path.", file=sys.stderr)
        return EvidenceMissing.status
    print(f"{'words':34}{'captions':>9}{'nudity':>8}{'minor':>7}{'both':>6}")
    for name, said in words(data).items():
        print(f"{name:34}{said.captions:9,}{said.nudity:8,}{said.minor:7,}{said.both:6,}")
    print("\nportrait in the public domain          face score")
    for name, score in faces(data).items():
        print(f"{name:38}{score:11.2f}")
    print(f"\n{'pictures without nudity':38}{'pictures':>9}  over {POLICY_SCORE}  highest")
    for name, (count, over, highest) in false_alarms(data).items():
        print(f"{name:38}{count:9,}{over:11,}{highest:9.2f}")
    print(f"\nPDQ list of the originals, at most {DISTANCE} bits, eight positions")
    for kind, (matched, total) in pdq_matches(data).items():
        print(f"{kind:38}{matched:5} of {total}")
    print("\nmilliseconds of one sample, median of 30")
    for name, cost in costs(data).items():
        print(f"{name:38}{cost:9.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
