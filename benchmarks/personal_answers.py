"""How well the personal data audit finds what is known to be there, with Presidio beside it.

Texts with marked spans, and templates filled here with invented identifiers (valid ones, and ones
whose check digit fails), both from presidio-research; ordinary captions of COCO; photographs, emoji
and near duplicates that are no documents. Counts and 95 % Wilson intervals.

    python benchmarks/personal_answers.py ../shared/data

Does not see: real documents, real persons' numbers, or captions of the web. Kinds that nobody here
looks for are listed, not counted. The document score was set while looking at these pictures.
"""

import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from invented import CHECKS, PLAIN, STYLES, WORDS, Planted, planted, styles_of
from invented_documents import DOCUMENTS, drawn
from PIL import Image

from audits.audit import LONGEST_PX, wilson
from audits.captions import lexicon, stated
from audits.identity import presidio_adapter
from audits.identity.ages import states_minor
from audits.identity.documents import document_score
from audits.identity.identifiers import SUPPORTED, identifiers_in
from governance.errors import EvidenceMissing
from governance.images import Undecodable, decode

ENTITIES = {  # marked in the texts -> our word for it
    "PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "CREDIT_CARD": "payment_card",
}  # fmt: skip
SLOT = re.compile(r"\{\{(\w+)\}\}")
SLOTS = frozenset(
    {"credit_card_number", "phone_number", "email", "iban", "ssn", "us_driver_license"}
)
FILLERS = {  # slots that hold no identifier of ours
    "age": "41", "year": "1987", "building_number": "52", "zipcode": "", "postcode": "",
    "country": "India", "nationality": "Indian", "city": "Sampletown", "job": "potter",
    "organization": "Example Works", "address": "52 Invented Road", "url": "the page",
    "date_of_birth": "a day in May", "date_time": "noon", "ip_address": "a host",
}  # fmt: skip
DOCUMENT_STEPS = (0.3, 0.6)

Value = tuple[str, str]  # kind, plain value
Found = Callable[[str], Iterable[Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often a kind stands in texts, how often it was found, and how often it was invented."""

    kind: str
    there: int
    found: int
    invented: int


def main(folder: Path) -> None:
    """Print every table. Raises EvidenceMissing where the data are not there."""
    if not (folder / "text").is_dir():
        raise EvidenceMissing(f"There is no folder text in {folder}; name the reference data.")
    print_captions(captions_of(folder))
    print_documents(folder)
    sides = {"ours": ours, "Presidio": presidios} if has_presidio() else {"ours": ours}
    print("\nTexts with marked spans (100)")
    print_tallies({side: tallies(marked_spans(folder), found) for side, found in sides.items()})
    others = ", ".join(f"{kind} {count}" for kind, count in sorted(not_looked_for(folder).items()))
    print(f"  not looked for: {others}")
    cases = filled(folder)
    print_filled(cases, sides)
    if has_presidio():
        print("\nKinds both look for: how often one side alone finds a valid identifier")
        for (kind, style, side), count in sorted(differences(cases).items()):
            print(f"  {kind:20} written {style:6} {side} alone: {count}")


def has_presidio() -> bool:
    """Say whether Presidio is installed."""
    try:
        presidio_adapter.presidio_version()
    except EvidenceMissing:
        return False
    return True


def ours(text: str) -> Iterator[Value]:
    """Yield what this audit holds for an identifier of a kind."""
    return ((i.kind, i.value) for i in identifiers_in(text) if i.score >= SUPPORTED)


def presidios(text: str) -> Iterator[Value]:
    """Yield what Presidio holds for one."""
    spans = presidio_adapter.presidio_spans(text)
    return ((kind, PLAIN[kind](text[start:end])) for kind, _, start, end in spans)


def marked_spans(folder: Path) -> Iterator[tuple[str, list[Value]]]:
    """Yield the texts with marked spans, with those spans that we have a word for."""
    for row in json.loads((folder / "text" / "pii_spans_small.json").read_text(encoding="utf-8")):
        kinds = ((ENTITIES.get(s["entity_type"]), s["entity_value"]) for s in row["spans"])
        yield row["full_text"], [(kind, PLAIN[kind](said)) for kind, said in kinds if kind]


def not_looked_for(folder: Path) -> Counter[str]:
    """Return the marked kinds that nobody here looks for, with how often they stand."""
    rows = json.loads((folder / "text" / "pii_spans_small.json").read_text(encoding="utf-8"))
    kinds = (span["entity_type"] for row in rows for span in row["spans"])
    return Counter(kind for kind in kinds if kind not in ENTITIES)


def tallies(marked: Iterable[tuple[str, Sequence[Value]]], found: Found) -> dict[str, Tally]:
    """Return one tally a kind: what is there and found, and what is found and not there."""
    there, hit, invented = Counter[str](), Counter[str](), Counter[str]()
    for text, answers in marked:
        left, said = Counter(answers), Counter(found(text))
        there.update(kind for kind, _ in answers)
        hit.update(kind for kind, _ in (left & said).elements())
        invented.update(kind for kind, _ in (said - left).elements())
    return {
        kind: Tally(kind=kind, there=there[kind], found=hit[kind], invented=invented[kind])
        for kind in sorted(there | invented)
    }


def filled(folder: Path, *, seed: int = 3) -> list[Planted]:
    """Return the templates filled with invented identifiers, of each kind, style and validity."""
    rng = random.Random(seed)  # noqa: S311  no secret: invented numbers that anybody can repeat
    raw = (folder / "text" / "pii_templates.txt").read_text(encoding="utf-8", errors="replace")
    lines = [line for line in raw.splitlines() if SLOTS & set(SLOT.findall(line))]
    return [
        planted(_template(line), kind, style, valid=valid, rng=rng)
        for line in lines
        for kind in WORDS
        for style in styles_of(kind)
        for valid in ((True, False) if kind in CHECKS else (True,))
    ]


def _template(line: str) -> str:
    """Return a template with "{}" for its first identifier, and plain words for the rest."""
    first = next(slot for slot in SLOT.findall(line) if slot in SLOTS)
    line = line.replace("{}", "").replace(f"{{{{{first}}}}}", "{}", 1)
    return SLOT.sub(lambda slot: FILLERS.get(slot[1], "Asha"), line).replace("\\n", "\n")


def score_of(case: Planted) -> float:
    """Return the score with which the planted identifier was found; 0 where it was not."""
    same = (
        one.score
        for one in identifiers_in(case.text)
        if (one.kind, one.value) == (case.kind, case.value)
    )
    return max(same, default=0.0)


def differences(cases: Iterable[Planted]) -> Counter[tuple[str, str, str]]:
    """Return how often one side alone finds a valid identifier: by kind, style and that side."""
    kinds = set(presidio_adapter.KINDS.values())
    found = Counter[tuple[str, str, str]]()
    for case in (case for case in cases if case.valid and case.kind in kinds):
        here, there = ((case.kind, case.value) in side(case.text) for side in (ours, presidios))
        if here != there:
            found[case.kind, case.style, "ours" if here else "Presidio"] += 1
    return found


def captions_of(folder: Path) -> list[str]:
    """Return the 20,027 captions of COCO's validation pictures."""
    table = pq.read_table(folder / "licences" / "coco_val2017_captions.parquet")
    return [caption for row in table["captions"].to_pylist() for caption in row]


def document_scores(folder: Path) -> Iterator[tuple[str, list[float]]]:
    """Yield sets of pictures that are no documents, with their scores."""
    yield "photos (grocery)", _scores(_column(folder / "photos" / "grocery.parquet"))
    near = sorted((folder / "neardup").glob("*/*.*"))
    yield "neardup", _scores(path.read_bytes() for path in near)
    for path in sorted((folder / "emoji").glob("emoji-*.parquet")):
        for enlarge in (2, 4):  # as they are, 72 px, they are too small to be scored
            yield f"{path.stem}, {enlarge} x 72 px", _scores(_column(path), enlarge=enlarge)


def _column(path: Path) -> Iterator[bytes]:
    for cell in pq.read_table(path, columns=["image"])["image"].to_pylist():
        yield cell["bytes"] if isinstance(cell, dict) else cell


def _scores(images: Iterable[bytes], *, enlarge: int = 1) -> list[float]:
    scores = []
    for data in images:
        try:
            image = decode(data, longest_px=LONGEST_PX).image
        except Undecodable:
            continue
        size = (image.width * enlarge, image.height * enlarge)
        scores.append(document_score(image.resize(size, Image.Resampling.BICUBIC)))
    return scores


def print_captions(captions: Sequence[str]) -> None:
    """Print false alarms on ordinary captions, and how fast they are read."""
    started = time.process_time()
    best = [max((i.score for i in identifiers_in(c)), default=0.0) for c in captions]
    rate = len(captions) / (time.process_time() - started)
    started = time.process_time()
    aged = sum(states_minor(caption) for caption in captions)
    aged_rate = len(captions) / (time.process_time() - started)
    terms = sum("about=minor" in stated(c, lexicon("safety")) for c in captions)
    print(f"COCO captions ({len(captions)})")
    print(f"  with an identifier: {sum(score >= SUPPORTED for score in best)}, "
          f"doubtful: {sum(0 < score < SUPPORTED for score in best)}")  # fmt: skip
    print(f"  stating an age under 18: {aged}; with a term for minors: {terms}")
    print(f"  identifiers {rate:,.0f} captions/s, ages {aged_rate:,.0f} captions/s, on one core")


def print_documents(folder: Path) -> None:
    """Print how many pictures score as documents: of drawn ones, and of what is none."""
    print(
        "\nDocument-like: how many score 0.3, 0.6 or more, the interval at 0.3; lowest and highest"
    )
    for name, draw in DOCUMENTS.items():
        _print_scores(f"drawn {name}", [document_score(image) for image in drawn(draw, 60)])
    for name, scores in document_scores(folder):
        _print_scores(f"none: {name}", scores)


def _print_scores(name: str, scores: Sequence[float]) -> None:
    found, sure = (sum(score >= step for score in scores) for step in DOCUMENT_STEPS)
    low, high = wilson(found, len(scores))
    print(f"  {name:32} {found:3} {sure:3} of {len(scores):4}   ({low:.2%} to {high:.2%})   "
          f"{min(scores):.2f} {max(scores):.2f}")  # fmt: skip


def print_filled(cases: Sequence[Planted], sides: Mapping[str, Found]) -> None:
    """Print what was found of invented identifiers, and how check-digit failures are scored."""
    print(f"\nTemplates filled with invented identifiers ({len(cases)} texts)")
    for style in STYLES:
        valid = [case for case in cases if case.valid and case.style == style]
        marked = [(case.text, [(case.kind, case.value)]) for case in valid]
        print(f"  written {style}")
        print_tallies({side: tallies(marked, found) for side, found in sides.items()})
    print("\nScores: lowest of the valid, highest of those whose check digit fails")
    scores: dict[tuple[str, str, bool], list[float]] = {}
    for case in cases:
        scores.setdefault((case.kind, case.style, case.valid), []).append(score_of(case))
    for kind in WORDS:
        told = (
            f"{style} {min(scores[kind, style, True]):.2f}"
            + (f" / {max(scores[kind, style, False]):.2f}" if kind in CHECKS else "")
            for style in styles_of(kind)
        )
        print(f"  {kind:20} {'   '.join(told)}")


def print_tallies(sides: Mapping[str, Mapping[str, Tally]]) -> None:
    """Print recall with its interval, and precision, by kind, every side in one line."""
    for kind in sorted({kind for rows in sides.values() for kind in rows}):
        told = (
            f"{side}: {_told(rows.get(kind, Tally(kind=kind, there=0, found=0, invented=0)))}"
            for side, rows in sides.items()
        )
        print(f"    {kind:20} {'   '.join(told)}")


def _told(row: Tally) -> str:
    low, high = wilson(row.found, row.there)
    said = row.found + row.invented
    precision = f"{row.found / said:.2f}" if said else "none"
    return f"recall {row.found:2}/{row.there:<2} ({low:.2f} to {high:.2f}) precision {precision}"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
    except EvidenceMissing as fault:
        print(fault, file=sys.stderr)
        sys.exit(fault.status)
