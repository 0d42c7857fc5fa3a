"""Licence audit: what is claimed of each sample, where that was read, and whether it agrees.

Read are the record's licence columns, its licence address, and the file itself (XMP, EXIF, IPTC,
PNG text, C2PA); opt-outs in the file, in the record and in what a crawl kept of the host; the
models that made picture or caption.

Does not see: whether the licence claimed is the licence granted (a tag is a claim, not title), and
what a host says today: nothing is fetched.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import duckdb
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures
from audits.rights.c2pa_manifest import Manifest, manifest_of
from audits.rights.c2pa_manifest import optouts_in as optouts_in_manifest
from audits.rights.claims import FILE, RECORD, credit_in, file_claims, record_claims
from audits.rights.embedded import NO_EXIF, Exif, Xmp, exif_of, together, xmp_of
from audits.rights.hosts import AI_CRAWLERS, Crawl, optouts_in
from audits.rights.licence_findings import findings, licensors, same_pictures
from audits.rights.lineage import generator_of, model_id, models_in_file
from audits.rights.optout import has_notice, in_properties, recorded, squashed
from audits.rights.segments import iptc_of, segments_of
from audits.rights.spdx import without_vaguer
from audits.settings import Name, Written, place_of, read_table
from governance.canon import Json, printable
from governance.images import Picture

NAME = "licence"
PAGES = frozenset({"landingurl", "originallandingurl", "pageurl", "foreignlandingurl"})
LONGEST, MOST_TEXTS = 500, 20  # characters of a credit, texts kept of one sample
REMOTE_MANIFEST = "dcterms:provenance"  # names the address of a manifest kept elsewhere

Record = Mapping[str, str | None]
Extra = Mapping[str, Json]


class LicenceTable(Written):
    """The table [audits.licence] of pramana.toml."""

    agents: list[Name] | None = None
    crawl: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceAudit:
    """Whose exclusion by a host counts, and what a crawl kept of the hosts."""

    name: ClassVar[str] = NAME
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("licence_spdx", pa.string()),  # the record's own, where it is one
            ("licence_claims", pa.list_(pa.string())),
            ("licence_sources", pa.list_(pa.string())),
            ("licence_conflict", pa.bool_()),
            ("licence_unrecognised", pa.bool_()),
            ("licence_evidence", pa.list_(pa.string())),  # where each claim was read, and its text
            ("attributed", pa.bool_()),
            ("credit", pa.string()),  # who is named, by the record or else by the file
            ("optout", pa.list_(pa.string())),
            ("optout_evidence", pa.list_(pa.string())),  # which signals were recorded at crawl
            ("generator_id", pa.string()),
            ("captioner_id", pa.string()),
            ("c2pa_state", pa.string()),  # see audits.rights.c2pa_manifest.State
            ("c2pa_training", pa.list_(pa.string())),
            ("c2pa_generator", pa.string()),
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([("licensor_conflict", pa.bool_())])

    agents: frozenset[str] = AI_CRAWLERS  # whose lines in robots.txt and ai.txt count
    crawl: Crawl | None = None

    @classmethod
    def of(cls, table: Mapping[str, Json], folder: Path) -> Self:
        """Return the audit with an operator's settings. Raises UsageError, EvidenceMissing."""
        told = read_table(LicenceTable, NAME, table)
        crawl = Crawl.at(place_of(told.crawl, folder, "crawl")) if told.crawl else None
        agents = AI_CRAWLERS if told.agents is None else frozenset(told.agents)
        return cls(agents=agents, crawl=crawl)

    def measure(self, batch: Batch) -> Columns:
        """Read what record, file and host claim of each sample."""
        samples = zip(batch.samples.to_pylist(), batch.pictures, batch.images, strict=True)
        rows = [self._measured(*sample) for sample in samples]
        return {name: [row[name] for row in rows] for name in self.columns.names}

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Count licences, conflicts, gaps, opt-outs and models; say whose licensors disagree."""
        del pictures  # what a licence covers is not in the pixels
        groups = same_pictures(measures)
        return Conclusion(tuple(findings(measures, groups)), licensors(measures, groups))

    def _measured(self, record: Record, picture: Picture | None, data: bytes) -> dict[str, object]:
        """Return the promised columns of one sample."""
        extra: Extra = json.loads(record["extra"] or "{}")
        file = _read_file(picture, data)
        stated = tuple(record_claims(record, extra))
        claims = (*stated, *file_claims(file.said, file.exif, file.text, file.manifest))
        own = without_vaguer(stated[0].reading.ids or stated[1].reading.ids)
        ids = without_vaguer(frozenset().union(*(claim.reading.ids for claim in claims)))
        signals = tuple(self._signals(record, extra))
        made = models_in_file(file.said, file.exif.text, file.text, file.manifest)
        credit = _credit(record["attribution"], record["creator"], credit_in(file.said, file.exif))
        return {
            "licence_spdx": next(iter(own)) if len(own) == 1 else None,
            "licence_claims": sorted(ids),
            "licence_sources": [
                place for place in (RECORD, FILE)
                if any(c.place == place and c.reading.ids for c in claims)
            ],
            "licence_conflict": len(ids) > 1,
            "licence_unrecognised": any(claim.reading.unread for claim in claims),
            "licence_evidence": sorted({claim.told for claim in claims} - {""})[:MOST_TEXTS],
            "attributed": bool(credit),
            "credit": credit,
            "optout": sorted({
                *(signal for _, found in signals for signal in found),
                *in_properties(file.said), *in_properties(file.manifest.said),
                *optouts_in_manifest(file.manifest),
                *(f"notice:{c.place}" for c in claims if has_notice(c.text)),
            }),
            "optout_evidence": sorted({place for place, _ in signals}),
            "generator_id": generator_of(record["generator"] or "", made),
            "captioner_id": model_id(record["captioner"] or "") or None,
            "c2pa_state": file.state,
            "c2pa_training": list(file.manifest.training),
            "c2pa_generator": file.manifest.generator,
        }  # fmt: skip

    def _signals(self, record: Record, extra: Extra) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield each place where something of the host was recorded, and what it reserves."""
        url = record["source_url"] or ""
        for name, found in recorded(extra, url, self.agents):
            yield f"record:{name}", found
        if self.crawl is None:
            return
        pages = (v for k, v in extra.items() if squashed(k) in PAGES and isinstance(v, str))
        for address in (url, *pages):
            for name, text in self.crawl.said_of(address).items():
                found = tuple(optouts_in(name, text, address, self.agents))
                yield f"crawl:{name}", found


def _credit(*said: str | None) -> str | None:
    """Return the first that says something, printable and not too long."""
    texts = (printable(text or "").strip()[:LONGEST] for text in said)
    return next((text for text in texts if text), None)


@dataclass(frozen=True, slots=True)
class _File:
    """What a picture file says of itself, wherever in it that stands."""

    said: Xmp
    exif: Exif
    text: tuple[tuple[str, str], ...]
    manifest: Manifest

    @property
    def state(self) -> str:
        """The state of its manifest; `remote` where only an address of one is named."""
        absent = self.manifest.state == "none" and REMOTE_MANIFEST in self.said
        return "remote" if absent else self.manifest.state


def _read_file(picture: Picture | None, data: bytes) -> _File:
    """Read a file, the parts of it that need no decoding also where no picture comes of it."""
    segments = segments_of(data)
    manifest = manifest_of(data, segments)
    xmp = xmp_of(picture, segments) if picture else {}
    said = together(xmp, iptc_of(segments), {} if manifest.state == "invalid" else manifest.said)
    return _File(
        said, exif_of(picture) if picture else NO_EXIF, picture.text if picture else (), manifest
    )
