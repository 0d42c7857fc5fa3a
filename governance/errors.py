"""The one tree of errors, and the exit status each of them ends a command with.

A message is a sentence: what was found, what was allowed, what to do.
"""

from typing import ClassVar


class PramanaError(Exception):
    """A fault we foresaw. Exit status 1."""

    status: ClassVar[int] = 1


class UsageError(PramanaError):
    """The caller asked for something that cannot be asked. Exit status 2."""

    status: ClassVar[int] = 2


class Refused(PramanaError):  # noqa: N818  a refusal is an answer, not a malfunction
    """The gate said no. Exit status 3."""

    status: ClassVar[int] = 3


class Tampered(PramanaError):  # noqa: N818
    """Bytes are not the bytes that were sealed or signed. Exit status 4."""

    status: ClassVar[int] = 4


class EvidenceMissing(PramanaError):  # noqa: N818
    """Something that must be shown is not there. Exit status 5."""

    status: ClassVar[int] = 5
