"""Which prompts are refused: rules over word lists, read from `blocklist.yaml`.

A rule is violated when a prompt has a term of each of its groups of lists, in any reading of it
(`training.output.folding`). The first rule that is violated refuses.

Does not see: meaning. Word lists are evaded by whoever tries, and refuse some who mean no harm;
`benchmarks/output.py` prints how often. The check of drawn pictures is the second door.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from governance.canon import Json, parse_yaml, sha256
from governance.errors import UsageError
from governance.records import as_object
from training.output.folding import readings, words
from training.output.refusal import Reason

RULES_FILE = Path(__file__).with_name("blocklist.yaml")
MOST_CHARACTERS = 4000  # no text encoder here reads so many; reading each prompt stays quick
MINORS = frozenset({"minor", "young"})  # lists of words for a child, or for an age below 18
KEYS = {"version", "given", "lists", "rules"}
Words = tuple[str, ...]
Lists = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A reason to refuse where a prompt has, of each of `groups`, a term of some list in it."""

    reason: Reason
    groups: tuple[frozenset[str], ...]

    def violated(self, heard: frozenset[str]) -> bool:
        """Say whether these lists, of which a prompt has terms, violate the rule."""
        return all(group & heard for group in self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocklist:
    """Rules, terms as words with the lists they are in, and what names both."""

    version: int
    digest: str
    rules: tuple[Rule, ...]
    terms: Mapping[Words, frozenset[str]]
    longest: Mapping[str, int]  # words of the longest term by its first word

    @classmethod
    def read(cls, given: Lists, *, source: Path = RULES_FILE) -> Self:
        """Read the rules, with the lists that come from outside. Each must be given, if empty.

        Raises:
            UsageError: a list is missing or unknown, or a rule or a term says nothing.
        """
        text = source.read_text(encoding="utf-8")
        said = as_object(parse_yaml(text), "the blocklist")
        if said.keys() != KEYS or given.keys() != set(said["given"]):
            raise UsageError(
                f"The blocklist has {', '.join(sorted(said))} and was given "
                f"{', '.join(sorted(given))}; it takes {', '.join(sorted(KEYS))} and the lists "
                "that it names under `given`."
            )
        lists = {**as_object(said["lists"], "the lists"), **given}
        terms = _terms(lists)
        longest = defaultdict[str, int](int)
        for term in terms:
            longest[term[0]] = max(longest[term[0]], len(term))
        return cls(
            version=int(said["version"]),
            digest=sha256(text.encode() + repr(sorted(terms)).encode()),
            rules=tuple(_rule(row, known=lists.keys()) for row in said["rules"]),
            terms=terms,
            longest=dict(longest),
        )

    def heard(self, prompt: str) -> frozenset[str]:
        """Return the lists that a prompt has terms of, in any reading. Raises UsageError."""
        if len(prompt) > MOST_CHARACTERS:
            raise UsageError(
                f"A prompt has {len(prompt):,} characters; {MOST_CHARACTERS:,} are read. Cut it."
            )
        found = [self.terms[term] for said in readings(prompt) for term in self._found(said)]
        return frozenset[str]().union(*found)

    def against(self, heard: frozenset[str]) -> Reason | None:
        """Return the reason of the first rule that a prompt with these lists violates, or None."""
        return next((rule.reason for rule in self.rules if rule.violated(heard)), None)

    def allows(self, prompt: str) -> bool:
        """Say whether no rule refuses a prompt; one that is too long to be read is refused."""
        return len(prompt) <= MOST_CHARACTERS and self.against(self.heard(prompt)) is None

    def _found(self, said: Words) -> Iterator[Words]:
        """Yield the terms among words from left to right; of those that overlap, the longest."""
        start = 0
        while start < len(said):
            length = 1
            for count in range(self.longest.get(said[start], 0), 0, -1):
                term = said[start : start + count]
                if term in self.terms:
                    yield term
                    length = count
                    break
            start += length


def _terms(lists: Lists) -> dict[Words, frozenset[str]]:
    """Return terms as words, and as the one word they are when run together, with their lists."""
    found = defaultdict[Words, set[str]](set)
    for name, terms in lists.items():
        for term in terms:
            said = words(term)
            if not said:
                raise UsageError(f"A term of the list {name!r} has no word in it; take it out.")
            found[said].add(name)
            found[("".join(said),)].add(name)
    return {term: frozenset(names) for term, names in found.items()}


def _rule(row: Json, *, known: object) -> Rule:
    said = as_object(row, "a rule of the blocklist")
    if said.keys() != {"id", "class", "all", "why"} or not said["all"]:
        raise UsageError("A rule of the blocklist has `id`, `class`, `all` and `why`; name each.")
    groups = tuple(frozenset(n.strip() for n in group.split("|")) for group in said["all"])
    for name in frozenset[str]().union(*groups):
        if name not in known:  # type: ignore[operator]
            raise UsageError(f"The rule {said['id']} names the list {name!r}, which is not there.")
    reason = Reason(rule=said["id"], kind=said["class"], why=said["why"])
    return Rule(reason=reason, groups=groups)
