"""Licence audit: what is claimed of each sample, where that was read, and whether it agrees.

Read are the record's licence columns, its licence address, and the file itself (XMP, EXIF, PNG
text); opt-outs in the record's columns and in XMP; the models that made picture or caption.

Does not see: whether the licence claimed is the licence granted (a tag is a claim, not title); C2PA
assertions; robots.txt and ai.txt of the host, unless the crawl wrote them into a column.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import duckdb
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures, count_of, share_of
from audits.embedded import ARTIST, COPYRIGHT, Xmp, exif_of, xmp_of
from audits.spdx import Reading, read_claim, read_rights, without_vaguer
from governance.images import Picture
from governance.records import Finding

NAME, RECORD, FILE = "licence", "record", "file"
BLIND = "A tag is a claim, not title; C2PA assertions and the host's robots.txt are not read."

# Columns whose name has one of these speak of another thing than the picture.
OTHER_SUBJECTS = re.compile(r"plate|holder|number|driv|version|model|generat|caption|prompt")
MEANINGLESS = frozenset({"true", "false", "yes", "no"})  # in a column beside the licence
OPTOUT_FLAGS = frozenset({"optout", "optedout", "aioptout", "donottrain", "noai", "noimageai"})
ROBOTS = frozenset({"robots", "robotsmeta", "metarobots", "xrobotstag"})
NO_AI = frozenset({"noai", "noimageai"})
NO_FLAGS = frozenset({"", "0", "0.0", "false", "no", "none", "n", "f"})

# PLUS data mining values that reserve a right. Source: PLUS LDF, Data Mining vocabulary.
PLUS_RESERVED = re.compile(r"DMI-PROHIBITED[A-Z-]*$")
MADE_BY_MODEL = re.compile(r"algorithmicmedia", re.IGNORECASE)  # IPTC digital source types
UNSTATED = "unstated"  # the file says that a model made it, nothing says which

# A model's usual names, without its owner and punctuation, to one id. Others stay as stated.
GENERATORS = MappingProxyType({
    "flux 1 dev": "flux.1-dev", "flux1 dev": "flux.1-dev", "flux dev": "flux.1-dev",
    "flux 1 schnell": "flux.1-schnell", "flux1 schnell": "flux.1-schnell",
    "flux schnell": "flux.1-schnell", "midjourney": "midjourney", "mid journey": "midjourney",
    "dall e 2": "dall-e-2", "dalle 2": "dall-e-2", "dalle2": "dall-e-2", "dall e 3": "dall-e-3",
    "dalle 3": "dall-e-3", "dalle3": "dall-e-3", "sdxl": "stable-diffusion-xl",
    "stable diffusion xl base 1 0": "stable-diffusion-xl", "sdxl 1 0": "stable-diffusion-xl",
    "stable diffusion v1 5": "stable-diffusion-1.5", "sd 1 5": "stable-diffusion-1.5",
    "sd15": "stable-diffusion-1.5", "stable diffusion 1 5": "stable-diffusion-1.5",
    "stable diffusion 3 medium": "stable-diffusion-3", "sd3": "stable-diffusion-3",
    "stable diffusion 3": "stable-diffusion-3", "sd3 5": "stable-diffusion-3.5",
    "stable diffusion 3 5 large": "stable-diffusion-3.5",
})  # fmt: skip
_OWNERS = re.compile(r"^(?:black forest labs|stabilityai|openai|runwayml)\s*/\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceAudit:
    """The audit has no settings: every source it knows is always read."""

    name: ClassVar[str] = NAME
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("licence_spdx", pa.string()),
            ("licence_claims", pa.list_(pa.string())),
            ("licence_sources", pa.list_(pa.string())),
            ("licence_conflict", pa.bool_()),
            ("licence_unrecognised", pa.bool_()),
            ("attributed", pa.bool_()),
            ("optout", pa.list_(pa.string())),
            ("generator_id", pa.string()),
            ("captioner_id", pa.string()),
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([])

    def measure(self, batch: Batch) -> Columns:
        """Read what record and file claim of each sample."""
        rows = [
            _measured(record, picture)
            for record, picture in zip(batch.samples.to_pylist(), batch.pictures, strict=True)
        ]
        return {name: [row[name] for row in rows] for name in self.columns.names}

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Count licences, conflicts, gaps, opt-outs and generators."""
        del pictures  # what a licence covers is not in the pixels
        return Conclusion((*_mix(measures), *_exceptions(measures), *_models(measures)))


def _measured(record: Mapping[str, str | None], picture: Picture | None) -> dict[str, object]:
    """Return the promised columns of one sample."""
    extra: Mapping[str, object] = json.loads(record["extra"] or "{}")
    xmp = xmp_of(picture) if picture else {}
    text = exif_of(picture).text if picture else {}
    own, of_record = _record_readings(record, extra)
    of_file = tuple(_file_readings(xmp, text.get(COPYRIGHT, ""), picture))
    claims = without_vaguer(frozenset().union(*(r.ids for r in (*of_record, *of_file))))
    sources = {RECORD: of_record, FILE: of_file}
    artist = text.get(ARTIST) or xmp.get("cc:attributionName") or xmp.get("dc:creator")
    made = any(MADE_BY_MODEL.search(v) for v in xmp.get("Iptc4xmpExt:DigitalSourceType", ()))
    return {
        "licence_spdx": own,
        "licence_claims": sorted(claims),
        "licence_sources": [name for name, read in sources.items() if any(r.ids for r in read)],
        "licence_conflict": len(claims) > 1,
        "licence_unrecognised": any(reading.unread for reading in (*of_record, *of_file)),
        "attributed": bool(record["creator"] or record["attribution"] or artist),
        "optout": sorted({*_optouts_in_record(extra), *_optouts_in_file(xmp)}),
        "generator_id": model_id(record["generator"] or "") or (UNSTATED if made else None),
        "captioner_id": model_id(record["captioner"] or "") or None,
    }


def model_id(stated: str) -> str:
    """Return one id for a model's usual names, else what was stated in lower case."""
    said = " ".join(stated.lower().split())
    plain = " ".join(re.findall(r"[a-z0-9]+", _OWNERS.sub("", said.replace("-", " "))))
    return GENERATORS.get(plain, said)


def _record_readings(
    record: Mapping[str, str | None], extra: Mapping[str, object]
) -> tuple[str | None, tuple[Reading, ...]]:
    """Return the record's own licence, if it is one, and all that the record claims."""
    version = extra.get("license_version") or extra.get("licence_version") or ""
    tag = read_claim(record["licence"] or "", str(version))
    address = read_claim(record["licence_url"] or "")
    own = without_vaguer(tag.ids or address.ids)
    others = (r for name, value in extra.items() for r in _reading(name, value))
    return next(iter(own)) if len(own) == 1 else None, (tag, address, *others)


def _reading(name: str, value: object) -> Iterator[Reading]:
    """Yield what an extra column claims, where its name speaks of a licence or of rights."""
    kind = _kind(name)
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str) or item.isdigit() or item.lower() in MEANINGLESS:
            continue
        if kind == "licence":
            yield read_claim(item)
        elif kind == "rights":
            yield Reading(read_rights(item))


def _kind(name: str) -> str:
    plain = _squashed(name)
    if OTHER_SUBJECTS.search(plain):
        return ""
    if "license" in plain or plain == "usageterms":
        return "licence"
    return "rights" if plain.startswith(("copyright", "rights")) else ""


def _file_readings(xmp: Xmp, copyright_: str, picture: Picture | None) -> Iterator[Reading]:
    """Yield what a file claims: fields for licences may stay unread, notices may not."""
    for name in ("cc:license", "xmpRights:WebStatement", "xmpRights:UsageTerms"):
        yield from (read_claim(value) for value in xmp.get(name, ()))
    notices = [copyright_, *xmp.get("dc:rights", ())]
    for name, value in picture.text if picture else ():
        if name.lower() in {"license", "licence"}:
            yield read_claim(value)
        elif name.lower() in {"copyright", "rights"}:
            notices.append(value)
    yield from (Reading(read_rights(notice)) for notice in notices if notice)


def _optouts_in_file(xmp: Xmp) -> Iterator[str]:
    for value in xmp.get("plus:DataMining", ()):
        if reserved := PLUS_RESERVED.search(value.upper()):
            yield f"plus:{reserved[0]}"


def _optouts_in_record(extra: Mapping[str, object]) -> Iterator[str]:
    """Yield opt-outs that the crawl wrote down. Source: W3C TDMRep; X-Robots-Tag noai."""
    for name, value in extra.items():
        plain = _squashed(name)
        said = [
            str(item).strip().lower() for item in (value if isinstance(value, list) else [value])
        ]
        if plain == "tdmreservation" and "1" in said:
            yield "tdm-reservation"
        elif plain in OPTOUT_FLAGS and not NO_FLAGS.issuperset(said):
            yield f"column:{plain}"
        elif plain in ROBOTS:
            yield from (f"robots:{word}" for text in said for word in _directives(text))


def _directives(text: str) -> Iterator[str]:
    """Yield the directives against AI use that are addressed to everybody."""
    for word in re.split(r"[,;\s]+", re.sub(r"[\w-]+\s*:\s*[^,;]*", "", text)):
        if word in NO_AI:
            yield word


def _squashed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).replace("licence", "license")


def _mix(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield the share of samples that carry each claim, in all and by source."""
    rows = measures.sql(
        """
        WITH claims AS (SELECT unnest(licence_claims) AS claim, source FROM measures),
             sizes AS (SELECT source, count(*) AS size FROM measures GROUP BY ROLLUP (source))
        SELECT claim, claims.source, count(*), any_value(size) FROM claims
            JOIN sizes USING (source) GROUP BY ALL
        UNION ALL
        SELECT claim, NULL, count(*), any_value(size) FROM claims
            JOIN sizes ON sizes.source IS NULL GROUP BY ALL
        ORDER BY ALL NULLS FIRST
        """
    ).fetchall()
    for claim, source, count, total in rows:
        name = f"licence={claim} share" if source is None else f"licence={claim} in {source} share"
        yield share_of(NAME, name, count=count, total=total, note=f"{count} of {total} samples")


def _exceptions(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield the samples whose claims disagree, are absent, or cannot be read."""
    sets = measures.sql(
        """
        SELECT array_to_string(licence_claims, ' / ') AS claims, count(*) AS found FROM measures
        WHERE licence_conflict GROUP BY claims ORDER BY found DESC, claims LIMIT 10
        """
    ).fetchall()
    quoted = "; ".join(f"{claims} ({count})" for claims, count in sets)
    said = f"Both are claimed: {quoted}." if quoted else "No two claims disagree."
    yield count_of(NAME, "licence conflicts", _ids(measures, "licence_conflict"), note=said)
    silent = "len(licence_claims) = 0 AND NOT licence_unrecognised"
    yield count_of(NAME, "no licence", _ids(measures, silent), note=BLIND)
    unread = _ids(measures, "licence_unrecognised")
    yield count_of(NAME, "licence unrecognised", unread, note="A claim stands there, unread.")
    nobody = _ids(measures, "NOT attributed")
    yield count_of(NAME, "no attribution", nobody, note="Nobody is named as the author.")


def _models(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield opt-outs by signal, and the generators and captioners that are named."""
    signals = measures.sql(
        "SELECT DISTINCT unnest(optout) AS signal FROM measures ORDER BY signal"
    ).fetchall()
    yield count_of(NAME, "opt-outs", _ids(measures, "len(optout) > 0"))
    for (signal,) in signals:
        yield count_of(
            NAME, f"opt-out {signal}", _ids(measures, "list_contains(optout, ?)", signal)
        )
    for column, word in (("generator_id", "generator"), ("captioner_id", "captioner")):
        known = sorted({*GENERATORS.values(), UNSTATED})
        for model in known:
            if ids := _ids(measures, f"{column} = ?", model):
                yield count_of(NAME, f"{word}={model}", ids)
        stated = f"{column} IS NOT NULL AND NOT list_contains(?, {column})"
        if ids := _ids(measures, stated, known):
            yield count_of(NAME, f"{word}=other", ids, note="The name stated is in the measures.")


def _ids(
    measures: duckdb.DuckDBPyConnection, condition: str, *values: str | Sequence[str]
) -> list[str]:
    """Return the ids of samples for which a condition of ours holds."""
    query = f"SELECT id FROM measures WHERE {condition} ORDER BY id"  # noqa: S608  ours
    return [row[0] for row in measures.execute(query, list(values)).fetchall()]
