"""What licences are called: common names, hub tags, Flickr's numbers, phrases and addresses.

Each is what somebody writes where a licence is asked for. Does not see: Creative Commons, whose
names are built by rule (`audits.rights.creative_commons`), and SPDX expressions
(`audits.rights.spdx`).
"""

import re
from types import MappingProxyType

# Names as `spdx._plain` leaves them: no case, no punctuation, no "license", "version" or "the".
# Among them the tags of dataset cards. Source: the Hugging Face hub's list of licence identifiers,
# read on 2026-11-22; those that are SPDX ids are read as expressions.
NAMES = MappingProxyType({
    "0bsd": "0BSD", "academic free 3 0": "AFL-3.0",
    "academic research purposes only": "LicenseRef-Research-Only",
    "agpl 3 0": "AGPL-3.0-only", "agpl3": "AGPL-3.0-only",
    "ai2 impact low risk": "LicenseRef-AI2-ImpACT-Low-Risk",
    "all rights reserved": "LicenseRef-All-Rights-Reserved",
    "anthropic": "LicenseRef-Anthropic-Terms", "apache": "Apache-2.0",
    "apache 2": "Apache-2.0", "apache 2 0": "Apache-2.0", "apache software 2 0": "Apache-2.0",
    "apple amlr": "LicenseRef-Apple-AMLR", "apple ascl": "LicenseRef-Apple-ASCL",
    "arr": "LicenseRef-All-Rights-Reserved", "artistic 2 0": "Artistic-2.0",
    "bigcode openrail m": "LicenseRef-BigCode-OpenRAIL-M",
    "bigscience bloom rail 1 0": "LicenseRef-BigScience-BLOOM-RAIL-1.0",
    "bigscience openrail m": "LicenseRef-BigScience-OpenRAIL-M", "bsd": "LicenseRef-BSD",
    "bsd 2 clause": "BSD-2-Clause", "bsd 3 clause": "BSD-3-Clause",
    "bsd 3 clause clear": "BSD-3-Clause-Clear", "c uda": "C-UDA-1.0", "c uda 1 0": "C-UDA-1.0",
    "cdla permissive 1 0": "CDLA-Permissive-1.0", "cdla permissive 2 0": "CDLA-Permissive-2.0",
    "cdla sharing 1 0": "CDLA-Sharing-1.0",
    "community data agreement sharing 1 0": "CDLA-Sharing-1.0",
    "computational use of data agreement c uda": "C-UDA-1.0",
    "creativeml openrail m": "LicenseRef-CreativeML-OpenRAIL-M",
    "cslu agreement": "LicenseRef-CSLU-Agreement",
    "custom non commercial": "LicenseRef-Non-Commercial",
    "custom research only": "LicenseRef-Research-Only",
    "custom research only non commercial": "LicenseRef-Research-Only",
    "deepfloyd if": "LicenseRef-DeepFloyd-IF",
    "developing nations": "LicenseRef-CC-DEVNATIONS-2.0",
    "fair noncommercial research": "LicenseRef-FAIR-Noncommercial-Research",
    "gemma": "LicenseRef-Gemma", "gfdl": "GFDL-1.1-or-later",
    "gnu affero general public 3 0": "AGPL-3.0-only",
    "gnu general public": "GPL-1.0-or-later",  # its section 9: no version means any
    "gnu general public 2 0": "GPL-2.0-only", "gnu general public 3 0": "GPL-3.0-only",
    "gnu lesser general public": "LGPL-2.0-or-later",
    "gnu lesser general public 2 1": "LGPL-2.1-only",
    "gnu lesser general public 3 0": "LGPL-3.0-only",
    "google cloud translation api": "LicenseRef-Google-Cloud-Translation-Terms",
    "gpl 2 0": "GPL-2.0-only", "gpl 3 0": "GPL-3.0-only", "gpl2": "GPL-2.0-only",
    "gpl3": "GPL-3.0-only", "gplv3": "GPL-3.0-only", "gnu gplv3": "GPL-3.0-only",
    "grok2 community": "LicenseRef-Grok-2-Community",
    "h research": "LicenseRef-H-Research-Only", "intel research": "LicenseRef-Intel-Research-Only",
    "isc": "ISC", "ldc user agreement": "LicenseRef-LDC-User-Agreement",
    "lgpl": "LGPL-2.0-or-later", "lgpl 2 1": "LGPL-2.1-only",
    "lgpl 3 0": "LGPL-3.0-only", "lgpl lr": "LGPLLR",
    "llama 2": "LicenseRef-Llama-2", "llama2": "LicenseRef-Llama-2",
    "llama3": "LicenseRef-Llama-3", "llama3 1": "LicenseRef-Llama-3.1",
    "llama3 2": "LicenseRef-Llama-3.2", "llama3 3": "LicenseRef-Llama-3.3",
    "llama4": "LicenseRef-Llama-4", "lmsys chat 1m dataset": "LicenseRef-LMSYS-Chat-1M",
    "meta llama3 community": "LicenseRef-Llama-3",
    "microsoft data licensing agreement": "LicenseRef-Microsoft-Data-Licensing-Agreement",
    "mit": "MIT", "mozilla public 2 0": "MPL-2.0", "mpl 2 0": "MPL-2.0",
    "new bsd": "BSD-3-Clause", "epl 1 0": "EPL-1.0", "epl 2 0": "EPL-2.0",
    "non commercial": "LicenseRef-Non-Commercial", "noncommercial": "LicenseRef-Non-Commercial",
    "oanc": "LicenseRef-OANC", "ogl 3 0": "OGL-UK-3.0",
    "open data commons attribution 1 0": "ODC-By-1.0",
    "open data commons public domain dedication 1 0": "PDDL-1.0",
    "no known copyright restrictions": "LicenseRef-No-Known-Copyright-Restrictions",
    "o uda": "O-UDA-1.0", "o uda 1 0": "O-UDA-1.0", "odbl": "ODbL-1.0", "odbl 1 0": "ODbL-1.0",
    "odc by": "ODC-By-1.0", "odc by 1 0": "ODC-By-1.0", "ofl": "OFL-1.1", "ofl 1 1": "OFL-1.1",
    "open database": "ODbL-1.0", "openai": "LicenseRef-OpenAI-Terms",
    "openmdw 1 0": "LicenseRef-OpenMDW-1.0", "openrail": "LicenseRef-OpenRAIL",
    "openrail++": "LicenseRef-OpenRAIL++", "pddl": "PDDL-1.0", "pdm": "CC-PDM-1.0",
    "pexels": "LicenseRef-Pexels", "pixabay": "LicenseRef-Pixabay",
    "public domain": "LicenseRef-Public-Domain", "public domain mark": "CC-PDM-1.0",
    "public domain mark 1 0": "CC-PDM-1.0", "research only": "LicenseRef-Research-Only",
    "research and academic use": "LicenseRef-Research-Only", "sil ofl 1 1": "OFL-1.1",
    "sil open font": "OFL-1.1", "sil open font 1 1": "OFL-1.1",
    "simplified bsd": "BSD-2-Clause", "unlicense": "Unlicense", "unsplash": "LicenseRef-Unsplash",
    "wtfpl": "WTFPL",
})  # fmt: skip

# The numbers that Flickr's interface, COCO and YFCC use. Source: flickr.photos.licenses.getInfo;
# COCO's own list ends at 8. Numbers above 10 were added later and stay unread.
FLICKR = MappingProxyType({
    "0": "LicenseRef-All-Rights-Reserved", "1": "CC-BY-NC-SA-2.0", "2": "CC-BY-NC-2.0",
    "3": "CC-BY-NC-ND-2.0", "4": "CC-BY-2.0", "5": "CC-BY-SA-2.0", "6": "CC-BY-ND-2.0",
    "7": "LicenseRef-No-Known-Copyright-Restrictions", "8": "LicenseRef-US-Government-Work",
    "9": "CC0-1.0", "10": "CC-PDM-1.0",
})  # fmt: skip

PHRASES = (  # what a sentence says for certain, unless it denies something
    (re.compile(r"\bapache licen[sc]e,? ?(?:version )?2\.0"), "Apache-2.0"),
    (re.compile(r"\bmit licen[sc]e\b"), "MIT"),
    (re.compile(r"\ball rights reserved\b"), "LicenseRef-All-Rights-Reserved"),
    (re.compile(r"\bpublic domain\b(?! (?:mark|notice|dedication))"), "LicenseRef-Public-Domain"),
    (re.compile(r"\bgetty ?images\b"), "LicenseRef-Getty-Images"),
    (re.compile(r"\bistock(?:photo)?\b"), "LicenseRef-iStock"),
    (re.compile(r"\bshutterstock\b"), "LicenseRef-Shutterstock"),
    (re.compile(r"\badobe ?stock\b"), "LicenseRef-Adobe-Stock"),
    (re.compile(r"\bpixta\b"), "LicenseRef-PIXTA"),
)
DENIALS = (  # what a sentence forbids for certain; here a "no" is what is looked for
    (
        re.compile(
            r"\b(?:no|not(?: be used)?(?: for)?(?: any)?) commercial (?:use|usage|purposes?)\b"
            r"|(?<!commercial and )(?<!commercial or )\bnon-?commercial (?:use|usage|purposes?)\b"
            r"|\bnon-?commercial(?: \w+){0,5} only\b|\bonly for non-?commercial\b"
            r"|\bfor (?:personal|private)(?: \w+){0,3} only\b"
        ),
        "LicenseRef-Non-Commercial",
    ),
    (
        re.compile(
            r"\bfor(?: \w+){0,4} (?:research|academic|education(?:al)?)(?: \w+){0,3} only\b"
        ),
        "LicenseRef-Research-Only",
    ),
)
ADDRESSES = (  # what an address names; the group, if any, is an SPDX id
    (re.compile(r"(?:spdx|opensource)\.org/licen[sc]es?/([\w.+-]+?)(?:\.html|\.php)?/?$"), ""),
    (re.compile(r"choosealicense\.com/licenses/([\w.-]+)/?$"), ""),
    (re.compile(r"gnu\.org/licenses/(?:old-licenses/)?([al]?gpl-\d\.\d)"), ""),
    (re.compile(r"apache\.org/licenses/license-2\.0"), "Apache-2.0"),
    (re.compile(r"opendatacommons\.org/licenses/by/(?:1[.-]0|summary)"), "ODC-By-1.0"),
    (re.compile(r"opendatacommons\.org/licenses/odbl/"), "ODbL-1.0"),
    (re.compile(r"opendatacommons\.org/licenses/pddl/"), "PDDL-1.0"),
    (re.compile(r"(?:scripts\.sil\.org/ofl|openfontlicense\.org)"), "OFL-1.1"),
    (re.compile(r"unlicense\.org"), "Unlicense"),
    (re.compile(r"cdla\.dev/permissive-2-0"), "CDLA-Permissive-2.0"),
    (re.compile(r"unsplash\.com/license"), "LicenseRef-Unsplash"),
    (re.compile(r"pexels\.com/(?:\w+/)?license"), "LicenseRef-Pexels"),
    (re.compile(r"pixabay\.com/(?:\w+/)*(?:license|terms)"), "LicenseRef-Pixabay"),
    (re.compile(r"flickr\.com/commons/usage"), "LicenseRef-No-Known-Copyright-Restrictions"),
    (re.compile(r"creativecommons\.org/+licenses/+(mit)\b"), ""),
    (re.compile(r"creativecommons\.org/+licenses/+gpl/+2\.0"), "GPL-2.0-only"),
    (re.compile(r"creativecommons\.org/+licenses/+lgpl/+2\.1"), "LGPL-2.1-only"),
    (re.compile(r"creativecommons\.org/+licenses/+bsd\b"), "LicenseRef-BSD"),
    (re.compile(r"usa\.gov/(?:copyright|government-works)"), "LicenseRef-US-Government-Work"),
    (re.compile(r"rightsstatements\.org/vocab/inc"), "LicenseRef-In-Copyright"),
    (re.compile(r"rightsstatements\.org/vocab/nkc"), "LicenseRef-No-Known-Copyright-Restrictions"),
)
