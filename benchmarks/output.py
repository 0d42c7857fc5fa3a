"""What the blocklist of prompts refuses: terms in disguise, offensive words, and harmless captions.

COCO's captions and the bias prompts are harmless: each refusal of one is a false one, but for
captions that do name nudity. The lists of offensive words hold much that is no class of ours
(insults, slurs), so their share is no recall. No prompt is printed, counts only.

    python benchmarks/output.py [DATA]    # ../shared/data when not given
"""

import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from app.draw import blocklist
from training.output.blocklist import Blocklist

DATA = Path(__file__).parents[2] / "shared" / "data"
CARRIER = "a picture of {} in a room"
LEET = str.maketrans("aeiost", "431057")
CYRILLIC = str.maketrans("aceopxy", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443")
DISGUISES: Mapping[str, Callable[[str], str]] = {
    "as it stands": str,
    "capitals": str.upper,
    "full width": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "zero-width between letters": "\u200b".join,
    "Cyrillic letters": lambda t: t.translate(CYRILLIC),
    "digits for letters": lambda t: t.translate(LEET),
    "letters spaced": lambda t: "  ".join(" ".join(word) for word in t.split()),
    "letters dotted": lambda t: " ".join(".".join(word) for word in t.split()),
    "a letter drawn out": lambda t: t[:1] + t[1:2] * 4 + t[2:],
    "a letter left out": lambda t: t[:2] + t[3:],
    "inside a longer word": lambda t: f"x{t}x",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How many of some prompts were refused, by rule."""

    prompts: int
    refused: Mapping[str, int]

    @property
    def share(self) -> float:
        """Return the share that was refused, 0..1."""
        return sum(self.refused.values()) / self.prompts


def held(rules: Blocklist, prompts: Iterable[str]) -> Held:
    """Return what is refused of some prompts."""
    reasons = [rules.against(rules.heard(prompt)) for prompt in prompts]
    found = Counter(reason.rule for reason in reasons if reason)
    return Held(prompts=len(reasons), refused=dict(sorted(found.items())))


def disguised(rules: Blocklist) -> dict[str, Held]:
    """Return what is refused of our own English terms that refuse alone, in each disguise."""
    terms = [" ".join(t) for t in rules.terms if all(w.isascii() and w.isalpha() for w in t)]
    alone = [t for t in terms if rules.against(rules.heard(CARRIER.format(t)))]
    return {
        name: held(rules, (CARRIER.format(change(term)) for term in alone))
        for name, change in DISGUISES.items()
    }


def shared(rules: Blocklist, data: Path) -> dict[str, Held]:
    """Return what is refused of the shared texts."""
    text = data / "text"
    coco = pq.read_table(data / "licences" / "coco_val2017_captions.parquet")["captions"]
    with (text / "entigen_prompts.csv").open(encoding="utf-8") as stream:
        entigen = [row["Sentence"] for row in csv.DictReader(stream)]
    return {
        "COCO val2017 captions": held(rules, (c for row in coco.to_pylist() for c in row)),
        "EntiGen prompts": held(rules, entigen),
        "DALL-Eval prompts": held(
            rules, json.loads((text / "dalleval_bias_prompts.json").read_text("utf-8"))
        ),
        "offensive words, English": held(rules, _lines(text / "blocklist_en.txt")),
        "offensive words, Hindi": held(rules, _lines(text / "blocklist_hi.txt")),
    }


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines() if line.strip()]


def main() -> None:
    """Print both tables."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    rules = blocklist()
    print(f"blocklist {rules.version}, {len(rules.terms):,} terms, digest {rules.digest[:16]}\n")
    for title, table in (
        ("our terms in disguise: refused", disguised(rules)),
        ("shared texts: refused", shared(rules, data)),
    ):
        print(title)
        for name, found in table.items():
            refused = ", ".join(f"{rule} {count}" for rule, count in found.refused.items())
            print(f"  {name:<28}{found.share:>8.2%} of {found.prompts:>6,}  {refused}")
    began, prompt = time.perf_counter(), CARRIER.format("a red circle")
    for _ in range(1000):
        rules.heard(prompt)
    print(f"\none prompt is read in {(time.perf_counter() - began) * 1e3:.0f} microseconds")


if __name__ == "__main__":
    main()
