"""Where the training host is, as far as that can be attested.

What the operator declares is held against what the cloud's metadata service and the firmware say;
the time zone is a hint and never proof. What disagrees is not believed, and then nothing is known.

Does not see: whether the answers are genuine. They come from this machine and its network, so
whoever runs it could give them; none of them is signed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from governance.canon import Json
from governance.places import COUNTRY, country_of, places_of

METADATA_SERVER: Final = "169.254.169.254"  # link-local, the same at AWS, Azure and Google
TIMEOUT_S: Final = 0.5  # each; where there is no such service nothing answers
MAX_ANSWER_BYTES: Final = 256
FIRMWARE: Final = ("sys_vendor", "product_name", "chassis_asset_tag")
AZURE_TAG: Final = "7783-7084-3265-9085-8269-3286-77"  # of every Azure machine, as cloud-init knows
_REGION = re.compile(r"[a-z][a-z0-9-]{1,39}")
_ZONE = re.compile(r"projects/\d+/zones/([a-z0-9-]+)-[a-z]")  # Google names the zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What is said of this machine: by its operator, its cloud, its firmware and its clock."""

    declared: str
    metadata: str = ""  # 'aws:ap-south-1'; '' where nothing answered or nobody asked
    firmware: tuple[str, ...] = ()
    time_zone: str = ""

    @property
    def agrees(self) -> bool | None:
        """Whether declaration and machine agree; None where one of them says nothing."""
        if not self.declared:
            return None
        if not self.metadata:
            other = self._provider_by_firmware()
            named = {place.provider for place in places_of(self.declared)} - {COUNTRY}
            return False if other and len(named) == 1 and other not in named else None
        if country_of(self.declared) is None:
            return None
        declared, seen = set(places_of(self.declared)), set(places_of(self.metadata))
        if any(place.provider == COUNTRY for place in declared):
            return country_of(self.declared) == country_of(self.metadata)
        return bool(declared & seen)

    @property
    def region(self) -> str | None:
        """The declared region, or None where nothing was declared or the machine disagrees."""
        return None if self.agrees is False else self.declared or None

    def facts(self) -> dict[str, Json]:
        """Return what rules about a run may read."""
        return {
            "compute_region": self.region,
            "host_region_attested": self.agrees,
            "host_metadata_region": self.metadata or None,
            "host_firmware": "; ".join(self.firmware) or None,
            "host_time_zone": self.time_zone or None,
        }

    def _provider_by_firmware(self) -> str | None:
        said = " ".join(self.firmware).casefold()
        signs = {"amazon": "aws", "google": "gcp", AZURE_TAG: "azure"}
        return next((provider for sign, provider in signs.items() if sign in said), None)


def attest(
    declared: str, *, ask: bool, server: str = METADATA_SERVER, root: Path = Path("/")
) -> Host:
    """Return what is said of this machine.

    Args:
        declared: the region that the operator declares, or ''.
        ask: whether to ask the metadata service; a request to the network, so the operator's word.
        server: host, or host:port, of the metadata service.
        root: where /sys and /etc lie.
    """
    return Host(
        declared=declared,
        metadata=_metadata(server) if ask else "",
        firmware=tuple(filter(None, (_firmware(root, name) for name in FIRMWARE))),
        time_zone=_time_zone(root),
    )


def _metadata(server: str) -> str:
    """Return `provider:region` as the first service says that answers; '' when none does."""
    for provider, ask in (("aws", _aws), ("gcp", _gcp), ("azure", _azure)):
        region = ask(server)
        if _REGION.fullmatch(region):
            return f"{provider}:{region}"
    return ""


def _aws(server: str) -> str:
    """Ask as IMDSv2 has it. Source: Amazon EC2 User Guide, "Use IMDSv2"."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token, _ = _asked(server, "/latest/api/token", lifetime, method="PUT")
    if not token:
        return ""
    told = {"X-aws-ec2-metadata-token": token}
    return _asked(server, "/latest/meta-data/placement/region", told)[0]


def _gcp(server: str) -> str:
    """Ask as Compute Engine has it; a genuine answer carries the same header."""
    flavor = {"Metadata-Flavor": "Google"}
    zone, headers = _asked(server, "/computeMetadata/v1/instance/zone", flavor)
    found = _ZONE.fullmatch(zone)
    return found[1] if found and headers.get("metadata-flavor") == "Google" else ""


def _azure(server: str) -> str:
    """Ask as the Azure Instance Metadata Service has it."""
    path = "/metadata/instance/compute/location?api-version=2021-02-01&format=text"
    return _asked(server, path, {"Metadata": "true"})[0]


def _asked(
    server: str, path: str, headers: Mapping[str, str], *, method: str = "GET"
) -> tuple[str, Mapping[str, str]]:
    """Return a short text and its headers; '' and none on any other answer.

    No proxy is used and no redirect followed, for the question is about this machine.
    """
    connection = HTTPConnection(server, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        data = answer.read(MAX_ANSWER_BYTES + 1)
    except (OSError, HTTPException, ValueError):  # ValueError: a token that is no header
        return "", {}
    finally:
        connection.close()
    if answer.status != 200 or len(data) > MAX_ANSWER_BYTES or not data.isascii():  # noqa: PLR2004
        return "", {}
    return data.decode().strip(), {k.lower(): v for k, v in answer.getheaders()}


def _firmware(root: Path, name: str) -> str:
    """Return what the firmware says (SMBIOS, through Linux), or ''."""
    try:
        return (
            (root / "sys/class/dmi/id" / name).read_bytes()[:64].decode("ascii", "ignore").strip()
        )
    except OSError:
        return ""


def _time_zone(root: Path) -> str:
    """Return the name of the machine's time zone, such as Asia/Kolkata, or ''."""
    try:
        target = (root / "etc/localtime").readlink().as_posix()
    except OSError:
        return ""
    return target.partition("zoneinfo/")[2][:64]
