"""What this program cannot stop, and why. It is told beside every attack that was stopped.

Does not see: limits nobody has thought of.
"""

from typing import Final

from app.redteam.attack import Limit

LIMITS: Final = (
    Limit(
        name="whoever runs the machine trains on plain pictures with another program",
        threat="training on raw data",
        why="a program cannot forbid another one; encrypted shards leave it nothing to read, and "
        "what it makes has no chain to show",
    ),
    Limit(
        name="few poisoned samples, each of which no rule minds",
        threat="poisoning, evasion",
        why="a gate weighs what audits measure; below every threshold it sees nothing. Look at a "
        "random share of the samples",
    ),
    Limit(
        name="a picture is made so that a detector misses it",
        threat="poisoning, evasion",
        why="detectors miss much even of what was not made to be missed; the card gives their "
        "published recall",
    ),
    Limit(
        name="the whole log is written anew where nobody ever looked",
        threat="log cut off or rewritten",
        why="at first sight, and a workspace whose folder was moved is seen for the first time, "
        "there is nothing it would have to extend. Use witnesses, and hand checkpoints out",
    ),
    Limit(
        name="one thief holds every key, the ledger, and what was remembered of it",
        threat="stolen gate key",
        why="then the thief is the house. Keep the keys with different people or a KMS, and a "
        "witness elsewhere",
    ),
    Limit(
        name="a stolen root key signs a newer trust file",
        threat="old or forged trust file",
        why="a newer version that the root signed is what a rotation looks like. Keep the root key "
        "off the machine; whoever pins a version sees that it changed",
    ),
    Limit(
        name="two people agree to deceive, each with a key of their own",
        threat="own approval, collusion",
        why="a quorum is as honest as its most honest member; a rule can ask for more of them, and "
        "the card names the roles",
    ),
    Limit(
        name="a trainer keeps what it once read",
        threat="erased or withdrawn sample",
        why="erasing a key ends every later reading here, not memory elsewhere, and weights stay "
        "as they are",
    ),
)
