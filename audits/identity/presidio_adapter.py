"""Microsoft Presidio as a second opinion on personal data in texts, where it is installed.

Its own recognisers for Indian numbers, e-mail, telephone and payment cards run over spaCy's blank
English pipeline: no model and no address is fetched, domains are held against the list of public
suffixes that `tldextract` brings along.

Does not see: names, places and dates, which need a spaCy model that nobody brings along; context
words of other languages than English.
"""

# pyright: reportMissingImports=false
# Presidio is optional.

import functools
import logging
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import TYPE_CHECKING

from governance.errors import EvidenceMissing

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine, EntityRecognizer
    from spacy.tokens import Doc

KINDS: Mapping[str, str] = MappingProxyType({
    "IN_AADHAAR": "aadhaar", "IN_PAN": "pan", "IN_VOTER": "voter_id", "IN_PASSPORT": "passport_in",
    "IN_VEHICLE_REGISTRATION": "vehicle_in", "IN_GSTIN": "gstin", "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone", "CREDIT_CARD": "payment_card",
})  # fmt: skip
REGIONS = ("IN", "US", "GB")  # whose telephone numbers are read without a country code
MIN_SCORE = 0.4  # what Presidio gives a match that a word near it names
MAX_TEXT = 20_000  # characters; Presidio takes minutes on megabytes (its issue 1461)
LEMMAS = "pramana_words_as_lemmas"


def presidio_version() -> str:
    """Return the version of Presidio. Raises EvidenceMissing when it is not installed."""
    try:
        return version("presidio-analyzer")
    except PackageNotFoundError:
        raise EvidenceMissing(
            "pramana.toml asks for Presidio's opinion on personal data, and presidio-analyzer is "
            "not installed; install pramana[presidio], or set presidio = false."
        ) from None


def presidio_spans(text: str) -> Iterator[tuple[str, float, int, int]]:
    """Yield what Presidio finds: our name of the kind, its score, start and end."""
    for found in _engine().analyze(text[:MAX_TEXT], "en", score_threshold=MIN_SCORE):
        yield KINDS[found.entity_type], found.score, found.start, found.end


@functools.cache
def _engine() -> "AnalyzerEngine":
    """Return an analyser that reaches nothing outside; made once a process."""
    presidio_version()
    import spacy  # noqa: PLC0415  heavy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry  # noqa: PLC0415  heavy
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # noqa: PLC0415  heavy
    from spacy.language import Language  # noqa: PLC0415  heavy

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    Language.component(LEMMAS, func=_words_as_lemmas)
    pipeline = spacy.blank("en")
    pipeline.add_pipe(LEMMAS)
    nlp = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    nlp.nlp = {"en": pipeline}
    registry = RecognizerRegistry(recognizers=_recognisers())
    return AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"])


def _recognisers() -> "list[EntityRecognizer]":
    import tldextract  # noqa: PLC0415  heavy
    from presidio_analyzer import predefined_recognizers as own  # noqa: PLC0415  heavy

    suffixes = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())  # none is fetched

    class LocalEmailRecognizer(own.EmailRecognizer):  # type: ignore[misc]  # untyped
        def validate_result(self, pattern_text: str) -> bool:
            return bool(suffixes(pattern_text).fqdn)

    return [
        own.InAadhaarRecognizer(), own.InPanRecognizer(), own.InVoterRecognizer(),
        own.InPassportRecognizer(), own.InVehicleRegistrationRecognizer(),
        own.InGstinRecognizer(), own.CreditCardRecognizer(), LocalEmailRecognizer(),
        own.PhoneRecognizer(supported_regions=REGIONS),
    ]  # fmt: skip


def _words_as_lemmas(doc: "Doc") -> "Doc":
    """Give each word itself as its lemma: Presidio compares context words with lemmas."""
    for token in doc:
        token.lemma_ = token.lower_
    return doc
