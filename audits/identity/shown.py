"""What a picture file says of the persons it shows: names, marked faces, model release, age.

Read from XMP: IPTC `PersonInImage`, regions of the Metadata Working Group and of Microsoft's photo
tools, and the PLUS fields on release and age of models.

Does not see: faces, names in captions, or whether what the file says is so. Where a file marks
faces and other things, every name in its regions counts as a person's.
"""

import re

from audits.captions import words
from audits.rights.embedded import Xmp

NAMES = ("Iptc4xmpExt:PersonInImage", "Iptc4xmpExt:PersonName", "MPReg:PersonDisplayName")
REGION_TYPE, REGION_NAME, FACE = "mwg-rs:Type", "mwg-rs:Name", "Face"  # Source: MWG guidelines 2.0
RELEASE = re.compile(r"MR-(?:NON|NAP|UMR|LMR)$")  # PLUS LDF: model release status
MINOR = re.compile(r"AG-(?:U14|A1[4-7])$")  # PLUS LDF: age of the youngest model


def names_in(xmp: Xmp) -> list[str]:
    """Return the folded names of the persons a file says it shows, each once."""
    said = [name for key in NAMES for name in xmp.get(key, ())]
    if marks_face(xmp):
        said += xmp.get(REGION_NAME, ())
    return sorted({folded for name in said if (folded := " ".join(words(name)))})


def marks_face(xmp: Xmp) -> bool:
    """Say whether a file marks where in the picture a face is."""
    return FACE in xmp.get(REGION_TYPE, ()) or "MPReg:Rectangle" in xmp


def release_in(xmp: Xmp) -> str | None:
    """Return the model release a file states, as `MR-NON`; None where it states none."""
    said = (RELEASE.search(value) for value in xmp.get("plus:ModelReleaseStatus", ()))
    return next((match[0] for match in said if match), None)


def shows_minor(xmp: Xmp) -> bool:
    """Say whether a file states that its youngest model is under eighteen."""
    return any(MINOR.search(value) for value in xmp.get("plus:MinorModelAgeDisclosure", ()))
