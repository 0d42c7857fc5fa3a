"""What a machine says of itself is held against what is declared; servers here are on localhost."""

import threading
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from policies.decide import judge_run
from policies.rules import load_pack
from training.host import AZURE_TAG, Host, attest

TODAY = date(2026, 11, 22)
AWS = {
    "PUT /latest/api/token": (200, "a-token", {}),
    "GET /latest/meta-data/placement/region": (200, "ap-south-1", {}),
}
GOOGLE = {"Metadata-Flavor": "Google"}
GCP = {
    "GET /computeMetadata/v1/instance/zone": (200, "projects/12/zones/asia-south1-b", GOOGLE),
}
AZURE_PATH = "/metadata/instance/compute/location?api-version=2021-02-01&format=text"
AZURE = {f"GET {AZURE_PATH}": (200, "centralindia", {})}


@contextmanager
def service(answers):
    """A metadata service on a port of this machine; it tells what it was asked, with headers."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((f"{self.command} {self.path}", dict(self.headers)))
            status, body, headers = answers.get(f"{self.command} {self.path}", (404, "", {}))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        do_PUT = do_GET  # noqa: N815  the name http.server calls

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def machine(folder, *, vendor="", tag="", zone="Asia/Kolkata"):
    (folder / "sys/class/dmi/id").mkdir(parents=True)
    (folder / "sys/class/dmi/id/sys_vendor").write_text(f"{vendor}\n")
    (folder / "sys/class/dmi/id/chassis_asset_tag").write_text(f"{tag}\n")
    (folder / "etc").mkdir()
    (folder / "etc/localtime").symlink_to(f"/usr/share/zoneinfo/{zone}")
    return folder


@pytest.mark.parametrize(
    ("answers", "region"),
    [(AWS, "aws:ap-south-1"), (GCP, "gcp:asia-south1"), (AZURE, "azure:centralindia")],
    ids=["AWS", "Google", "Azure"],
)
def test_each_cloud_says_where_its_machine_is(tmp_path, answers, region):
    with service(answers) as (server, _):
        host = attest("IN", ask=True, server=server, root=tmp_path)
    assert (host.metadata, host.agrees, host.region) == (region, True, "IN")


def test_the_service_is_asked_as_its_documents_say(tmp_path):
    with service(AWS) as (server, asked):
        attest("", ask=True, server=server, root=tmp_path)
    (token, first), (place, second) = asked
    assert (token, place) == tuple(AWS)
    assert first["X-aws-ec2-metadata-token-ttl-seconds"] == "60"
    assert second["X-aws-ec2-metadata-token"] == "a-token"


def test_without_the_operators_word_nothing_is_asked(tmp_path):
    with service(AWS) as (server, asked):
        host = attest("aws:ap-south-1", ask=False, server=server, root=tmp_path)
    assert asked == []
    assert (host.metadata, host.agrees, host.region) == ("", None, "aws:ap-south-1")


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {**AWS, "GET /latest/meta-data/placement/region": (200, "Not A Region!", {})},
        {**AWS, "GET /latest/meta-data/placement/region": (200, "a" * 300, {})},
        {**AWS, "GET /latest/meta-data/placement/region": (302, "ap-south-1", {"Location": "/x"})},
        {**AWS, "GET /latest/meta-data/placement/region": (200, "मुंबई", {})},
        {"PUT /latest/api/token": (200, "a\r\nHost: elsewhere", {})},
        {"GET /computeMetadata/v1/instance/zone": (200, "projects/12/zones/asia-south1-b", {})},
        {"GET /computeMetadata/v1/instance/zone": (200, "asia-south1-b", GOOGLE)},
    ],
    ids=[
        "silence", "no region", "endless", "redirect", "no ASCII", "a token with a header in it",
        "no flavour", "no zone",
    ],
)  # fmt: skip
def test_any_other_answer_is_no_answer(tmp_path, answers):
    with service(answers) as (server, _):
        assert attest("IN", ask=True, server=server, root=tmp_path).metadata == ""


def test_where_nothing_listens_nothing_is_known(tmp_path):
    host = attest("IN", ask=True, server="127.0.0.1:9", root=tmp_path)
    assert host == Host(declared="IN")


@pytest.mark.parametrize(
    ("declared", "metadata", "agrees", "region"),
    [
        ("aws:ap-south-1", "aws:ap-south-1", True, "aws:ap-south-1"),
        ("ap-south-1a", "aws:ap-south-1", True, "ap-south-1a"),
        ("India", "azure:centralindia", True, "India"),
        ("IN", "aws:us-east-1", False, None),
        ("aws:ap-south-1", "aws:ap-south-2", False, None),
        ("gcp:asia-south1", "aws:ap-south-1", False, None),
        ("IN", "aws:mars-north-1", False, None),
        ("aws:ap-south-1", "aws:mars-north-1", False, None),
        ("on-prem", "aws:ap-south-1", None, "on-prem"),
        ("", "aws:ap-south-1", None, None),
        ("IN", "", None, "IN"),
    ],
)
def test_a_declared_region_the_machine_contradicts_is_not_believed(
    declared, metadata, agrees, region
):
    host = Host(declared=declared, metadata=metadata)
    assert (host.agrees, host.region) == (agrees, region)


@pytest.mark.parametrize(
    ("declared", "vendor", "tag", "agrees"),
    [
        ("aws:ap-south-1", "Amazon EC2", "", None),
        ("aws:ap-south-1", "Google", "", False),
        ("azure:centralindia", "Microsoft Corporation", AZURE_TAG, None),
        ("aws:ap-south-1", "Microsoft Corporation", AZURE_TAG, False),
        ("aws:ap-south-1", "Microsoft Corporation", "", None),
        ("IN", "Google", "", None),
        ("eu-west-1", "Google", "", None),
    ],
    ids=["same", "another", "Azure", "not Azure", "some Hyper-V", "a country", "of two providers"],
)
def test_firmware_can_contradict_a_provider_and_never_confirms_a_region(
    tmp_path, declared, vendor, tag, agrees
):
    root = machine(tmp_path, vendor=vendor, tag=tag)
    assert attest(declared, ask=False, root=root).agrees is agrees


def test_the_time_zone_is_shown_and_decides_nothing(tmp_path):
    host = attest("IN", ask=False, root=machine(tmp_path, zone="America/New_York"))
    assert (host.agrees, host.region) == (None, "IN")
    assert host.facts()["host_time_zone"] == "America/New_York"


@pytest.mark.parametrize(
    ("metadata", "status"), [("aws:ap-south-1", "satisfied"), ("aws:us-east-1", "violated")]
)
def test_rules_about_the_run_fail_closed_on_a_contradiction(metadata, status):
    facts = Host(declared="aws:ap-south-1", metadata=metadata).facts()
    results = judge_run(facts, packs=[load_pack("dpdp")], as_of=TODAY)
    assert {rule.id: rule.status for rule in results}["DPDP-RUN-IN-INDIA"] == status
