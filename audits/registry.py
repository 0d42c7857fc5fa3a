"""The audits, in the order their columns stand and their findings print.

Adding an audit is adding it here. Does not see: what any of them measures.
"""

from audits.audit import Audit
from audits.bias import BiasAudit
from audits.duplicates import DuplicatesAudit
from audits.licence import LicenceAudit
from audits.locality import LocalityAudit
from audits.nsfw import NsfwAudit
from audits.personal import PersonalAudit
from audits.quality import QualityAudit

AUDITS: tuple[Audit, ...] = (
    LicenceAudit(),
    NsfwAudit(),
    DuplicatesAudit(),
    BiasAudit(),
    PersonalAudit(),
    LocalityAudit(),
    QualityAudit(),
)
