"""Great Expectations' Data Docs of a suite as two pages that ask nothing of any network.

GX's own pages load a dozen scripts and styles from elsewhere and a picture that tells the maker who
reads them. Here its renderers make the pages, an allow-list of plain elements is kept of them, and
a Content-Security-Policy forbids every request. The pages hold counts and what is usual, no value
of any sample. Does not see: which samples are meant; the findings name them.
"""

import html
import warnings
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from audits.expectations.suite import Suite, frame_of, packaged, validated
from governance.canon import write_whole

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

RESULTS: Final = "index.html"
EXPECTATIONS: Final = "suite.html"

KEPT: Final = frozenset({
    "div", "p", "span", "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th",
    "td", "ul", "ol", "li", "strong", "b", "br", "hr", "code", "pre", "i", "a",
})  # fmt: skip
DROPPED: Final = frozenset({  # with all that stands in them
    "head", "script", "style", "nav", "footer", "button", "label", "template", "svg", "title",
})  # fmt: skip
VOID: Final = frozenset({"br", "hr"})
PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left }}
td, th {{ vertical-align: top }} li:has(hr) {{ display: none }}
.alert {{ background: #eee; padding: .4rem .8rem; margin: 1.5rem 0 .5rem }}
.badge {{ background: #eee; padding: 0 .3rem }}
.card {{ display: none }} .card.collapse {{ display: block }}
h4, h5, h6 {{ margin: .3rem 0 }} hr {{ border: 0; margin: 0 }}
.fa-check-circle::before {{ content: "\\2713"; color: #060 }}
.fa-times::before {{ content: "\\2715"; color: #a00 }}
.fa-exclamation-triangle::before {{ content: "!"; color: #a00 }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd }}
 .alert, .badge {{ background: #222 }} a {{ color: #8bf }} }}
</style></head><body>
<p><a href="{results}">Results</a> · <a href="{expectations}">What is expected</a></p>
<p>{note}</p>
{body}
</body></html>
"""


def export_docs(measures: pa.Table, folder: Path, suite: Suite | None = None) -> tuple[Path, ...]:
    """Write the Data Docs of a suite over measures, and return the pages.

    Args:
        measures: one row a sample, with the columns the suite names.
        folder: made where it does not exist.
        suite: what is usual; the one that comes with the program where none is given.

    Raises:
        EvidenceMissing: GX is not installed, or a column is absent.
    """
    suite = suite or packaged()
    result = validated(frame_of(measures, suite), suite, complete=False)
    note = f"{suite}; {measures.num_rows} samples. What is usual is no rule: policies judge."
    pages = zip((RESULTS, EXPECTATIONS), _rendered(result, suite), strict=True)
    written = []
    for name, page in pages:
        text = PAGE.format(
            title=html.escape(f"Data Docs: {suite.name} {suite.version}"),
            results=RESULTS,
            expectations=EXPECTATIONS,
            body=_plain(page),
            note=html.escape(note),
        )
        write_whole(folder / name, text.encode())
        written.append(folder / name)
    return tuple(written)


def _rendered(result: "ExpectationSuiteValidationResult", suite: Suite) -> Sequence[str]:
    """Return GX's own pages: of the results, and of the suite."""
    import great_expectations as gx  # noqa: PLC0415  heavy
    from great_expectations.render import renderer, view  # noqa: PLC0415  heavy

    expected = gx.ExpectationSuite(
        name=suite.name, expectations=[e.to_gx() for e in suite.expectations]
    )
    page = view.DefaultJinjaPageView()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return (
            page.render(renderer.ValidationResultsPageRenderer().render(result)),
            page.render(renderer.ExpectationSuitePageRenderer().render(expected)),
        )


def _plain(page: str) -> str:
    plain = _Plain()
    plain.feed(page)
    plain.close()
    return "".join(plain.kept)


class _Plain(HTMLParser):
    """Keeps the elements of the allow-list with their class and anchors, and all text in them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.kept: list[str] = []
        self.inside: list[str] = []  # what is dropped, and stands open

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        opens = tag == "a" and "data-toggle" in dict(attrs)  # by a script that is not kept
        if tag in DROPPED or opens:
            self.inside.append(tag)
        if tag not in KEPT or self.inside:
            return
        said = {name: value for name, value in attrs if value and name in {"class", "id"}}
        href = dict(attrs).get("href") or ""
        if tag == "a" and href.startswith("#"):
            said["href"] = href
        told = "".join(f' {name}="{html.escape(value)}"' for name, value in said.items() if value)
        self.kept.append(f"<{tag}{told}>")

    def handle_endtag(self, tag: str) -> None:
        if self.inside and tag == self.inside[-1]:
            self.inside.pop()
        elif tag in KEPT and tag not in VOID and not self.inside:
            self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.kept.append(html.escape(data))
