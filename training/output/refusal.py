"""Refusals: what was not drawn or not written, by rule and class, never by prompt.

A refusal names its prompt by a digest under a salt: whoever keeps the salt can tell that the same
prompt came again, and nobody can read one out of the log.

Does not see: the prompt, once the digest is made.
"""

import hmac
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from governance.canon import canonical

At: TypeAlias = Literal["prompt", "picture"]
DIGEST_DIGITS = 32  # 128 bits, half of the tag. Source: RFC 2104, section 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something is refused: the id of a rule, its class, a sentence for people."""

    rule: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One line of `refused.jsonl`: which prompt by place (from 0) and digest, at which door."""

    place: int
    at: At
    rule: str
    kind: str
    digest: str

    @classmethod
    def of(cls, reason: Reason, at: At, *, place: int, digest: str) -> "Refusal":
        """Return the refusal of a prompt, or of its picture, for a reason."""
        return cls(place=place, at=at, rule=reason.rule, kind=reason.kind, digest=digest)


def prompt_digest(salt: bytes, prompt: str) -> str:
    """Return the digest of a prompt under a salt. Source: RFC 2104, HMAC-SHA-256."""
    return hmac.digest(salt, prompt.encode("utf-8", "surrogatepass"), "sha256").hex()[
        :DIGEST_DIGITS
    ]


def by_rule(refusals: Iterable[Refusal]) -> dict[str, int]:
    """Return how many were refused by each rule."""
    return dict(sorted(Counter(refusal.rule for refusal in refusals).items()))


def log_bytes(refusals: Iterable[Refusal]) -> bytes:
    """Return the log of refusals, one JSON object a line."""
    return b"".join(canonical(asdict(refusal)) + b"\n" for refusal in refusals)
