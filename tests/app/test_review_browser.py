"""The real server and a real browser: headers, host names, and a hostile dataset that gets nothing.

A listener stands where the attacker's markup points. Chromium resolves no name at all, and every
request a page tries is read from its own log.
"""

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app import main, view
from governance.workspace import Workspace

pytestmark = pytest.mark.xdist_group("browser")

CHROMIUM = Path("/usr/bin/chromium")
SCREENS = {"": "Excluded samples", "trail": "Merkle root", "card": "Training loss"}
WAIT_S = 60.0
SETTLED = (
    "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
    " && !document.querySelector('[data-testid=stSkeleton]')"
    " && !!document.querySelector('[data-testid=stDataFrame] [role=gridcell]')"
)


class Listener(ThreadingHTTPServer):
    """Stands where an attacker would listen; `heard` has one path a request."""

    daemon_threads = True

    def __init__(self) -> None:
        self.heard: list[str] = []
        super().__init__(("127.0.0.1", 0), _Hearing)

    def markup(self) -> str:
        """What an attacker writes into a dataset."""
        at = f"http://127.0.0.1:{self.server_port}"
        return f"![px]({at}/md)<img src={at}/img onerror=alert(1)><script src={at}/js></script>"


class _Hearing(BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        self.server.heard.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Page(BaseHTTPRequestHandler):
    """Serves the attacker's markup as a page: with our headers below /guarded, else without."""

    markup = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        for name, value in main.HEADERS if self.path == "/guarded" else ():
            self.send_header(name.decode(), value.decode())
        self.end_headers()
        self.wfile.write(f"<!doctype html><h1>page</h1>{self.markup}".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Browser:
    """Headless Chromium, spoken to over a pipe in the DevTools protocol."""

    pid: int
    to: int
    back: int
    events: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0
    session: str | None = None
    unread: bytes = b""

    def call(self, method: str, **params: object) -> dict[str, Any]:
        number = self._send(method, **params)
        while (said := self._said()).get("id") != number:
            self.events.append(said)
            if said.get("method") == "Page.javascriptDialogOpening":  # it holds the page up
                self._send("Page.handleJavaScriptDialog", accept=True)
        return said["result"]

    def _send(self, method: str, **params: object) -> int:
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        return self.sent

    def _said(self) -> dict[str, Any]:
        while b"\0" not in self.unread:
            assert select.select([self.back], [], [], WAIT_S)[0], "Chromium fell silent"
            self.unread += os.read(self.back, 1 << 16)
        answer, _, self.unread = self.unread.partition(b"\0")
        return json.loads(answer)

    def value(self, expression: str) -> Any:
        said = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return said["result"].get("value")

    def wait_for(self, expression: str) -> None:
        until = time.monotonic() + WAIT_S
        while not self.value(expression):
            assert time.monotonic() < until, f"the page never came to: {expression}"
            time.sleep(0.1)

    def of(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def pick_first_row(self, table: int = 0) -> None:
        """Click the box before the first row of a table."""
        frame = f"document.querySelectorAll('[data-testid=stDataFrame]')[{table}]"
        canvas = f"{frame}.querySelector('canvas')"
        self.wait_for(f"!!{frame} && !!{canvas}")
        self.value(f"{canvas}.scrollIntoView({{block: 'center'}})")
        x, y = self.value(f"(b => [b.x + 16, b.y + 52])({canvas}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def place(build, listener, tmp_path_factory) -> Workspace:
    """A workspace whose dataset was written by an attacker."""
    return build(tmp_path_factory.mktemp("hostile"), hostile=listener.markup())


@pytest.fixture(scope="module")
def url(place, tmp_path_factory) -> Iterator[str]:
    """The real server, started as `pramana review` does, where files shadow our packages."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("governance", "app", "streamlit"):
        (folder / f"{name}.py").write_text("raise SystemExit('the wrong package was imported')")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = (
        f"from app.review import run; from pathlib import Path; run(Path(*sys.argv[1:]), {port})"
    )
    environment = {**os.environ, "STREAMLIT_SERVER_HEADLESS": "true"}
    with subprocess.Popen(
        [sys.executable, "-P", "-c", f"import sys; {start}", place.folder],
        cwd=folder, env=environment, stdout=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            _wait_for(lambda: _is_up(f"http://127.0.0.1:{port}", server))
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture
def browser(tmp_path) -> Iterator[Browser]:
    if not CHROMIUM.is_file():
        pytest.skip(f"{CHROMIUM} is not there; install Chromium to drive the screens")
    hear, to = os.pipe()
    back, speak = os.pipe()
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--window-size=1400,3000", f"--user-data-dir={tmp_path}", "--remote-debugging-pipe",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ]  # fmt: skip
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, hear, 3),
            (os.POSIX_SPAWN_DUP2, speak, 4),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        setpgroup=0,
    )
    os.close(hear)
    os.close(speak)
    driven = Browser(pid, to, back)
    try:
        pages = driven.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in pages if target["type"] == "page")
        attached = driven.call("Target.attachToTarget", targetId=page, flatten=True)
        driven.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log"):
            driven.call(f"{domain}.enable")
        yield driven
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(to)
        os.close(back)


def test_every_answer_carries_the_headers(url):
    for path in ("/", "/trail", "/_stcore/health", "/no-such-file.js"):
        _, said = _asked(url, path)
        assert {name: said[name.decode()].encode() for name, _ in main.HEADERS} == dict(
            main.HEADERS
        )


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example"])
def test_another_name_for_this_machine_is_refused(url, host):
    status, said = _asked(url, "/", Host=host)
    assert status == 400
    assert "content-security-policy" in said


@pytest.mark.browser
@pytest.mark.parametrize(("path", "heard"), [("/bare", ["/img", "/js"]), ("/guarded", [])])
def test_the_listener_hears_bare_markup_and_the_headers_alone_silence_it(
    browser, listener, path, heard
):
    listener.heard.clear()
    page = type("Page", (_Page,), {"markup": listener.markup()})
    with ThreadingHTTPServer(("127.0.0.1", 0), page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.call("Page.navigate", url=f"http://127.0.0.1:{server.server_port}{path}")
        browser.wait_for("document.readyState === 'complete' && !!document.querySelector('h1')")
        server.shutdown()
    assert sorted(listener.heard) == heard
    assert len(browser.of("Page.javascriptDialogOpening")) == len(heard) // 2


@pytest.mark.browser
def test_a_hostile_dataset_is_read_as_text_on_every_screen(browser, listener, url):
    listener.heard.clear()
    for path, words in SCREENS.items():
        browser.call("Page.navigate", url=f"{url}/{path}")
        browser.wait_for(f"document.body?.innerText.includes({json.dumps(words)}) && {SETTLED}")
        if path == "":
            cells = browser.value(
                "[...document.querySelectorAll('[role=gridcell]')].map(c => c.innerText).join('|')"
            )
            assert listener.markup() in cells
    assert listener.heard == []
    assert not browser.of("Page.javascriptDialogOpening")
    asked = [request["request"]["url"] for request in browser.of("Network.requestWillBeSent")]
    assert not [a for a in asked if a.startswith(("http", "ws")) and not a.startswith(url)]
    blocked = [entry["entry"]["text"] for entry in browser.of("Log.entryAdded")]
    blocked = [text for text in blocked if "Content Security Policy" in text]
    assert not [text for text in blocked if not re.match("Executing inline script", text)]


@pytest.mark.browser
def test_a_reader_picks_a_rule_and_reads_what_it_asks(browser, url):
    browser.call("Page.navigate", url=url)
    browser.wait_for(SETTLED)
    browser.pick_first_row()
    browser.wait_for("document.body.innerText.includes('COM-LICENCE-FORBIDDEN asks of each')")
    browser.wait_for("document.body.innerText.includes('licence_use IN (')")


@pytest.mark.browser
def test_a_reader_picks_a_finding_and_reads_how_it_was_come_by(browser, url):
    browser.call("Page.navigate", url=url)
    browser.wait_for(SETTLED)
    browser.pick_first_row(1)
    browser.wait_for("document.body.innerText.includes('licence/licence=CC-BY-4.0 share')")
    browser.wait_for("document.body.innerText.includes('Cannot see: A licence tag is a claim')")


@pytest.mark.browser
def test_a_reader_takes_the_proof_of_an_act_away(browser, url, place, tmp_path):
    browser.call("Page.navigate", url=f"{url}/trail")
    browser.wait_for(SETTLED)
    browser.pick_first_row()
    browser.wait_for("!!document.querySelector('[data-testid=stDownloadButton] button')")
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.value("document.querySelector('[data-testid=stDownloadButton] button').click()")
    number = len(place.ledger.entries()) - 1
    taken = tmp_path / f"act-{number}.tlog-proof"
    _wait_for(taken.is_file)
    assert taken.read_text() == view.proof(place.ledger, number)


def _asked(url: str, path: str, **headers: str) -> tuple[int, Message]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=WAIT_S)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers


def _is_up(url: str, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, "the server ended before it answered"
    with contextlib.suppress(ConnectionError):
        return _asked(url, "/_stcore/health")[0] == 200
    return False


def _wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)
