"""Attacks on a tracking server: what must be refused is refused, and what must work works."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import stat
import threading
import time

import httpx
import pytest
from _tracking_server import TrackingServer

from skledger.errors import InvalidParameterError, NotFoundError, StoreError
from skledger.server.security.access import changes_nothing
from skledger.server.security.headers import POLICY
from skledger.server.security.origins import Hosts, parse_host
from skledger.server.security.users import UserFile, check_password

API = "/api/2.0/mlflow"
SEARCH = f"{API}/experiments/search"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with small limits, which only this machine reaches."""
    folder = tmp_path_factory.mktemp("server")
    uri = f"sqlite:///{folder}/s.db"
    options = ("--max-body", "100k", "--max-upload", "1M", "--allowed-hosts", "ml.test,*.in.test")
    with TrackingServer(uri, *options, folder=folder) as running:
        yield running


def raw(server, *lines, body=b"", seconds=20):
    """Send a request as it stands, and return the status, the headers and the body."""
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        connection.sendall(head + body)
        got = b""
        try:
            while part := connection.recv(65536):
                got += part
        except (TimeoutError, ConnectionResetError):
            pass
    head, _, content = got.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}
    return int(first.split()[1]) if first else None, headers, content


def asked(server, *headers, host=None, path="/health", method="GET", body=b""):
    """Return the status of a request with these headers."""
    host = f"127.0.0.1:{server.port}" if host is None else host
    named = [f"Host: {host}"] if host else []
    sized = [f"Content-Length: {len(body)}"] if body or method == "POST" else []
    lines = (f"{method} {path} HTTP/1.1", *named, *sized, "Connection: close", *headers)
    return raw(server, *lines, body=body)[0]


# -- hosts: a name that an attacker leads to this machine --------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "evil.example",
        "localhost.evil.example:{port}",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io:{port}",
        "0.0.0.0:{port}",
        "10.0.0.1:{port}",
        "[::ffff:10.0.0.1]",
        "in.test",
        "evil-in.test",
        "ml.test.evil.example",
    ],
)
def test_other_names_are_refused(server, host):
    """A page of another site cannot reach this server by a name of its own (DNS rebinding)."""
    for path in ("/", SEARCH, "/health", "/static/app.css"):
        assert asked(server, host=host.format(port=server.port), path=path) == 403


@pytest.mark.parametrize(
    "host", ["", "a b", "localhost:x", "localhost:99999", "user@localhost", "localhost/x", "[::1"]
)
def test_what_is_no_name_is_refused(server, host):
    """Hosts that cannot be read, that are missing, or that come twice, get 400."""
    status = asked(server, host=host)
    assert status in (400, 403)
    twice = f"Host: localhost:{server.port}"
    assert asked(server, twice) == 400
    assert asked(server, "X: y", host="") == 400


@pytest.mark.parametrize(
    "host",
    [
        "localhost:{port}",
        "LOCALHOST",
        "localhost.:8080",
        "127.0.0.1",
        "127.8.8.8:1",
        "[::1]:{port}",
        "ml.test",
        "a.in.test:443",
    ],
)
def test_own_names_are_taken(server, host):
    """Loopback by any of its names, on any port (a tunnel has its own), and what was allowed."""
    assert asked(server, host=host.format(port=server.port)) == 200


def test_a_server_that_others_reach_has_more_names():
    """Addresses in numbers cannot be led elsewhere; names can."""
    hosts = Hosts("0.0.0.0")
    assert hosts.allow("10.1.2.3")
    assert hosts.allow("fe80::1")
    assert hosts.allow(socket.gethostname().lower())
    assert not hosts.allow("0.0.0.0")
    assert not hosts.allow("::")
    assert not hosts.allow("tracking.example.org")
    assert Hosts("0.0.0.0", ("*",)).allow("anything.example.org")
    assert Hosts("0.0.0.0", ("tracking.example.org",)).allow("tracking.example.org")
    assert parse_host("[::1]:80").name == "::1"
    assert parse_host("a..b/c") is None


def test_the_target_of_a_request_does_not_count(server):
    """A whole address in the first line does not stand in for the Host header."""
    lines = ("GET http://localhost/health HTTP/1.1", "Host: evil.example", "Connection: close")
    assert raw(server, *lines)[0] in (400, 403)


# -- origins: pages of other sites -------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost",
        "http://localhost:1",
        "http://127.0.0.1.evil.example:{port}",
        "http://localhost:{port}.evil.example",
        "http://user@localhost:{port}",
        "file://",
        "ftp://localhost:{port}",
        "chrome-extension://abc",
        "http://127.0.0.1:{port}",
    ],
)
def test_other_origins_are_refused(server, origin):
    """Whatever they ask, also by forms that need no permission from a browser."""
    origin = f"Origin: {origin.format(port=server.port)}"
    host = f"localhost:{server.port}"
    assert asked(server, origin, host=host, path=SEARCH) == 403
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        body = json.dumps({"name": "planted"}).encode()
        path = f"{API}/experiments/create"
        headers = (origin, f"Content-Type: {kind}")
        assert asked(server, *headers, host=host, method="POST", path=path, body=body) == 403
    preflight = (origin, "Access-Control-Request-Method: POST")
    assert asked(server, *preflight, host=host, method="OPTIONS", path=SEARCH) == 403
    found = server.client.get(SEARCH, params={"max_results": 100}).text
    assert "planted" not in found


def test_the_own_origin_is_taken(server):
    """Also behind a proxy that speaks TLS, and with a port that goes without saying."""
    port = server.port
    assert asked(server, f"Origin: http://localhost:{port}", host=f"localhost:{port}") == 200
    assert asked(server, f"Origin: http://[::1]:{port}", host=f"[::1]:{port}") == 200
    assert asked(server, "Origin: https://ml.test", host="ml.test") == 200
    assert asked(server, "Origin: https://ml.test", host="ml.test:443") == 200
    assert asked(server, "Origin: HTTP://LOCALHOST:80", host="localhost") == 200


def test_where_a_browser_says_a_request_comes_from(server):
    """Pictures, frames, scripts and forms of other sites are refused; links are followed."""
    for site in ("cross-site", "same-site"):
        said = f"Sec-Fetch-Site: {site}"
        assert (
            asked(server, said, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", path="/") == 403
        )
        assert asked(server, said, path="/") == 403
        link = (said, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
        frame = (said, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe")
        assert asked(server, *link, path="/") == 200
        assert asked(server, *link, path=SEARCH) == 403
        assert asked(server, *frame, path="/") == 403
        assert asked(server, *link, method="POST", path="/", body=b"name=x") == 403
    for site in ("same-origin", "none"):
        assert asked(server, f"Sec-Fetch-Site: {site}", path="/") == 200


def test_no_answer_lets_other_origins_read(server):
    """There is no header of CORS, and errors of programs are in MLflow's form."""
    answer = server.client.get(SEARCH, headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.json()["error_code"] == "PERMISSION_DENIED"
    assert "https://evil.example" in answer.json()["message"]


# -- headers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/nothing", "/health", "/static/app.css", f"{API}/nothing"])
def test_every_answer_says_what_a_page_may_load(server, path):
    """Nothing from elsewhere, nothing inline, no frames of others; refusals included."""
    for headers in ({}, {"Host": "evil.example"}):
        answer = server.client.get(path, headers=headers)
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY


def test_what_is_not_there_is_told_in_the_words_of_who_asks(server):
    """A page for people, JSON for programs, and nothing of the request runs in it."""
    page = server.client.get("/<script>alert(1)</script>", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "text/html" in page.headers["content-type"]
    assert "<script>alert" not in page.text
    assert server.client.get(f"{API}/nothing").json()["error_code"] == "ENDPOINT_NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/../../settings.py",
        "/static/%2e%2e/%2e%2e/settings.py",
        "/static/..%2f..%2fsettings.py",
        "/static/..%5c..%5csettings.py",
        "/static/%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/c:%5cwindows%5cwin.ini",
        "/static/app.css%00.js",
        "/static/.%00./settings.py",
    ],
)
def test_static_files_are_no_way_out(server, path):
    """Whatever the path looks like, only what is in the folder is found."""
    assert asked(server, path=path) in (400, 404)


def test_a_failure_of_ours_tells_nothing_but_the_log(caplog):
    """Neither a traceback nor a message of the failure goes over the network; the log has it once."""
    from skledger.server.app import create_app
    from skledger.server.settings import ServerSettings

    app = create_app(ServerSettings("memory:"))

    def fail(*_, **__):
        raise RuntimeError("the secret of the store")

    for name in ("search_experiments", "get_experiment", "search_runs"):
        setattr(app.state.store, name, fail)

    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get(path, headers={"Accept": kind}) for path, kind in asked]

    asked = (("/", "text/html"), (SEARCH, "*/*"))
    for answer in asyncio.run(ask()):
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert answer.headers["content-security-policy"] == POLICY
    failures = [each for each in caplog.records if each.levelname == "ERROR"]
    assert len(failures) == 2
    assert all("the secret of the store" in caplog.handler.format(each) for each in failures)
    app.close()


# -- files of runs -----------------------------------------------------------------------------------

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
SCRIPT = b"<html><script src='evil.js'></script><script>fetch('/')</script></html>"


#: Names below the root that only look like something else: files may have them.
ODD_NAMES = ["/file:%2f%2f%2fetc/passwd", "/file:///etc/passwd", "/0/%c0%ae%c0%ae/s.db"]


@pytest.mark.parametrize(
    "path",
    [
        *ODD_NAMES,
        "/../../s.db",
        "/0/../../s.db",
        "/%2e%2e/s.db",
        "/0/%2e%2e/%2e%2e/s.db",
        "/%252e%252e/s.db",
        "/..%2fs.db",
        "/..%5cs.db",
        "/0%5c..%5c..%5cs.db",
        "/%2fetc/passwd",
        "//etc/passwd",
        "/c:/windows/win.ini",
        "/c:%5cwindows%5cwin.ini",
        "/%5c%5chost%5cshare%5cx",
        "/s.db%00.txt",
        "/0/x%00/../../s.db",
        "/outside/secret.txt",
    ],
)
def test_files_are_no_way_out(server, path):
    """Reading, listing, writing and deleting stay where uploads go, however a path is written."""
    uploads = server.folder / "s-artifacts"
    uploads.mkdir(exist_ok=True)
    outside = server.folder / "beside"
    outside.mkdir(exist_ok=True)
    (outside / "secret.txt").write_text("the treasure")
    if not (uploads / "outside").exists():
        (uploads / "outside").symlink_to(outside)
    port = f"127.0.0.1:{server.port}"
    before = {each for each in server.folder.rglob("*") if "s-artifacts" not in each.parts}
    kept = sorted(uploads.rglob("*"))
    for method, body in (("GET", b""), ("PUT", b"planted"), ("DELETE", b"")):
        lines = (f"{method} {PROXY}{path} HTTP/1.1", f"Host: {port}", "Connection: close")
        status, _, content = raw(server, *lines, f"Content-Length: {len(body)}", body=body)
        assert b"treasure" not in content
        assert b"SQLite" not in content
        assert b"root:" not in content
        if path in ODD_NAMES:
            assert status == {"GET": 404, "PUT": 200, "DELETE": 200}[method], content
        else:
            assert status in (400, 404), (method, content)
            assert sorted(uploads.rglob("*")) == kept
    listed = path.removeprefix("/").rpartition("/")[0]
    target = f"{PROXY}?path={listed}"
    status, _, content = raw(server, f"GET {target} HTTP/1.1", f"Host: {port}", "Connection: close")
    assert b"treasure" not in content
    assert b"passwd" not in content
    after = {each for each in server.folder.rglob("*") if "s-artifacts" not in each.parts}
    assert before <= after
    assert not [each for each in after - before if each.suffix != ".db-shm"]
    assert (outside / "secret.txt").read_text() == "the treasure"


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.xhtml", "x.xml", "x.js", "x.png", "x"])
def test_what_was_logged_cannot_run_here(server, name):
    """HTML, SVG and the like are downloads, or have an origin of nobody and no scripts."""
    location = server.client.get(f"{API}/experiments/get?experiment_id=0").json()["experiment"]
    assert location["artifact_location"] == "mlflow-artifacts:/0"
    run = server.client.post(f"{API}/runs/create", json={"experiment_id": "0"}).json()["run"]
    run_id = run["info"]["run_id"]
    kept = f"{PROXY}/0/{run_id}/artifacts/{name}"
    assert server.client.put(kept, content=SCRIPT).status_code == 200
    for path in (
        kept,
        f"/get-artifact?path={name}&run_id={run_id}",
        f"/artifacts/run/{run_id}/{name}",
    ):
        answer = server.client.get(path)
        if answer.status_code == 404 and path.startswith("/artifacts/"):
            continue
        assert answer.content == SCRIPT, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        is_download = answer.headers.get("content-disposition", "").startswith("attachment")
        assert is_download or ("sandbox" in policy and "allow-same-origin" not in policy), path
        assert "allow-scripts" not in policy


# -- sizes and times ---------------------------------------------------------------------------------


def test_large_bodies_are_refused(server):
    """Told or untold; nothing of them is kept."""
    body = b" " * 200_000
    answer = server.client.post(SEARCH, content=body)
    assert answer.status_code == 413
    assert "100,000 bytes" in answer.json()["message"]
    untold = server.client.post(SEARCH, content=iter([body]))
    assert untold.status_code == 413
    lines = (
        "POST / HTTP/1.1",
        "Host: localhost",
        "Content-Length: 999999999999",
        "Expect: 100-continue",
    )
    status, _, _ = raw(server, *lines)
    assert status == 413


def test_large_files_are_refused(server):
    """An upload that says its size, or does not, ends where its limit is."""
    path = "/api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/large.bin"
    body = b"x" * 2_000_000
    assert server.client.put(path, content=body).status_code == 413
    parts = iter([body[at : at + 100_000] for at in range(0, len(body), 100_000)])
    answer = server.client.put(path, content=parts)
    assert answer.status_code == 413
    assert "1,000,000 bytes" in answer.json()["message"]
    left = [
        each
        for each in server.folder.rglob("*")
        if each.is_file() and each.stat().st_size > 500_000
    ]
    assert not [each for each in left if each.suffix not in (".db", ".db-wal")]


@pytest.mark.parametrize("size", [10_000, 1_000_000], ids=["in pieces", "at once"])
@pytest.mark.parametrize(
    "lines",
    [
        ("GET /health HTTP/1.1", "Host: localhost", f"X: {'x' * 70_000}"),
        ("GET /health HTTP/1.1", "Host: localhost", *(f"X{at}: {'y' * 99}" for at in range(700))),
        (f"GET /health?{'x' * 70_000} HTTP/1.1", "Host: localhost"),
    ],
    ids=["a header", "headers", "the address"],
)
def test_large_heads_are_refused(server, lines, size):
    """A header, many headers, or an address that are too long are not answered."""
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        try:
            for at in range(0, len(head), size):
                connection.sendall(head[at : at + size])
                time.sleep(0.005)
            got = connection.recv(1000)
        except (BrokenPipeError, ConnectionResetError):
            got = b""
    assert got == b"" or b" 431 " in got or b" 400 " in got, got
    assert server.client.get("/health").status_code == 200


def endless(lines=40_000):
    """Return headers without end."""
    return b"".join(b"X%d: %s\r\n" % (at, b"y" * 500) for at in range(lines))


@pytest.mark.parametrize("rest", [endless(), b"X: " + b"x" * 20_000_000], ids=["many", "one"])
@pytest.mark.parametrize("is_read", [True, False], ids=["read", "not read"])
def test_a_head_behind_an_answer_is_not_collected(server, rest, is_read):
    """While a first answer is under way, the head of a second request has its limit, too."""
    path = "/api/2.0/mlflow-artifacts/artifacts/large.bin"
    server.client.put(path, content=b"z" * 1_000_000).raise_for_status()
    first = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(first * 8)
        time.sleep(0.3)
        if is_read:
            connection.recv(4096)
        with pytest.raises((ConnectionError, TimeoutError)):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + rest)
    assert server.client.get("/health").status_code == 200


def test_large_heads_are_refused_without_the_faster_parser(tmp_path):
    """Where httptools is not installed, heads have the same limit."""
    (tmp_path / "httptools.py").write_text("raise ImportError('not installed')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    uri = f"sqlite:///{tmp_path}/s.db"
    with TrackingServer(uri, folder=tmp_path, env={"PYTHONPATH": path}) as plain:
        lines = ("GET /health HTTP/1.1", "Host: localhost", "Connection: close")
        assert raw(plain, *lines, f"X: {'x' * 30_000}")[0] == 200
        for size in (100_000, 200_000):
            assert raw(plain, *lines, f"X: {'x' * size}")[0] in (400, None)
        body = b"x" * 300_000
        path = "/api/2.0/mlflow-artifacts/artifacts/a.bin"
        assert plain.client.put(path, content=body).status_code == 200
        assert plain.client.get(path).content == body


def test_headers_behind_a_body_have_their_limit(server):
    """A body in parts may be followed by headers, of which there may not be any number."""
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        with pytest.raises(ConnectionError):  # noqa: PT012 - the first may still be taken
            connection.sendall(head.encode() + b"2\r\n{}\r\n0\r\n")
            for _ in range(100):
                connection.sendall(endless(1000))
    assert server.client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(server, head):
    """Requests that two readers could understand differently, and what is none at all."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while part := connection.recv(65536):
                got += part
        except (TimeoutError, ConnectionResetError):
            pass
    assert got == b"" or b" 400 " in got.split(b"\r\n")[0], got[:200]
    assert got == b"" or b"x-content-type-options: nosniff" in got
    assert got == b"" or b"content-security-policy: default-src 'none'" in got
    assert server.client.get("/health").status_code == 200


# -- users -------------------------------------------------------------------------------------------


def basic(name, secret):
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that asks who you are: the users alice (password and token), bob (only reads)."""
    folder = tmp_path_factory.mktemp("guarded")
    users = UserFile(folder / "users.json")
    users.set_password("alice", PASSWORD)
    users.set_password("bob", f"{PASSWORD} of bob", read_only=True)
    tokens = {"alice": users.add_token("alice"), "bob": users.add_token("bob")}
    tokens["alice reads"] = users.add_token("alice", read_only=True)
    with TrackingServer(
        f"sqlite:///{folder}/s.db", "--auth", "users.json", folder=folder
    ) as running:
        running.tokens = tokens
        running.users = users
        yield running


def as_user(server, header, path=SEARCH, method="GET", **options):
    headers = {"Authorization": header} if header else {}
    return server.client.request(method, path, headers=headers, **options)


def test_nobody_unknown_is_answered(guarded):
    """Pages, files and programs alike; a browser is told to ask for a name."""
    token = guarded.tokens["alice"]
    for header in (
        None,
        "",
        "Basic",
        "Basic !!!",
        "Bearer",
        "Bearer nonsense",
        f"Bearer {token[:-1]}",
        f"Bearer {token}x",
        f"Digest {token}",
        f"Bearer {token} {token}",
        basic("alice", ""),
        basic("alice", PASSWORD + "x"),
        basic("alice", PASSWORD.upper()),
        basic("mallory", PASSWORD),
        basic("", PASSWORD),
        basic("bob", PASSWORD),
        basic("bob", ""),
        basic("bob", token),
        basic("Alice", PASSWORD),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Basic " + base64.b64encode(b"alice").decode(),
        basic("alice\0", PASSWORD),
        basic("alice", "x" * 5000),
    ):
        for path in ("/", SEARCH, "/static/app.css", "/nothing"):
            answer = as_user(guarded, header, path)
            assert answer.status_code == 401, header
            assert answer.headers["www-authenticate"].startswith("Basic ")
    assert guarded.client.get("/health").status_code == 200
    # Who tried is in the log, what he tried is not.
    assert "refused: user 'mallory' from 127.0.0.1" in guarded.text()
    assert PASSWORD not in guarded.text()
    assert token[:-1] not in guarded.text()


def test_known_users_are_answered(guarded):
    """By name and password, by token alone, or by a token as the password."""
    token = guarded.tokens["alice"]
    for header in (
        basic("alice", PASSWORD),
        f"Bearer {token}",
        f"bearer  {token}",
        basic("alice", token),
        basic("", token),
        basic("bob", guarded.tokens["bob"]),
    ):
        assert as_user(guarded, header, "/").status_code == 200, header
    # Cookies and the address are no way in.
    answer = guarded.client.get("/", params={"token": token}, cookies={"token": token})
    assert answer.status_code == 401


def test_a_run_belongs_to_who_makes_it(guarded):
    """The user who asked is noted with a run, unless the client names somebody."""
    alice = f"Bearer {guarded.tokens['alice']}"
    for told, user in (({}, "alice"), ({"user_id": "carol"}, "carol")):
        asked = {"experiment_id": "0", **told}
        answer = as_user(guarded, alice, f"{API}/runs/create", "POST", json=asked)
        assert answer.json()["run"]["info"]["user_id"] == user


def test_the_address_with_a_name_is_no_way_around_the_origin(guarded):
    """Browsers send passwords along with requests of other sites; those are refused all the same."""
    headers = {"Authorization": basic("alice", PASSWORD), "Origin": "https://evil.example"}
    answer = guarded.client.post(f"{API}/experiments/create", headers=headers, json={"name": "x"})
    assert answer.status_code == 403


def test_who_only_reads_changes_nothing(guarded):
    """Searches pass, though they are asked by POST; all else is refused, in the API and in pages."""
    bob = f"Bearer {guarded.tokens['bob']}"
    for path in (f"{API}/experiments/create", "/experiments/0/rename", f"{API}/runs/log-batch"):
        answer = as_user(guarded, bob, path, "POST", json={"name": "n"})
        assert answer.status_code == 403
        assert "bob" in answer.text
    for method in ("PUT", "PATCH", "DELETE"):
        assert as_user(guarded, bob, f"{API}/runs/create", method).status_code == 403
    # A token may be for reading alone, and a new password changes nothing of that.
    reads = f"Bearer {guarded.tokens['alice reads']}"
    assert as_user(guarded, reads, "/").status_code == 200
    for header in (reads, basic("alice", guarded.tokens["alice reads"])):
        answer = as_user(guarded, header, f"{API}/experiments/create", "POST", json={"name": "n"})
        assert answer.status_code == 403, answer.text
    alice = f"Bearer {guarded.tokens['alice']}"
    answer = as_user(guarded, alice, f"{API}/experiments/create", "POST", json={"name": "by alice"})
    assert answer.status_code == 200
    guarded.users.set_password("bob", f"{PASSWORD} of bob again")
    time.sleep(1.2)
    for header in (bob, basic("bob", f"{PASSWORD} of bob again")):
        answer = as_user(guarded, header, f"{API}/experiments/create", "POST", json={"name": "n"})
        assert answer.status_code == 403
    reading = {"type": "http", "method": "POST"}
    for path in (
        "runs/search",
        "experiments/search",
        "logged-models/search",
        "experiments/search-datasets",
    ):
        assert changes_nothing({**reading, "path": f"{API}/{path}"})
    for path in (
        "runs/create",
        "runs/search/x",
        "runs/delete",
        "runs/set-tag",
        "x/../runs/searchx",
    ):
        assert not changes_nothing({**reading, "path": f"{API}/{path}"})
    assert not changes_nothing({**reading, "path": "/experiments/search"})


def test_a_password_is_checked_once_and_a_change_counts_at_once(guarded):
    """The right password is remembered, without itself; another one takes its place in a second."""
    header = basic("alice", PASSWORD)
    as_user(guarded, header)
    begun = time.monotonic()
    for _ in range(50):
        assert as_user(guarded, header, "/health").status_code == 200
    assert (time.monotonic() - begun) / 50 < 0.05
    other = "another password"
    try:
        guarded.users.set_password("alice", other)
        time.sleep(1.2)
        assert as_user(guarded, header).status_code == 401
        assert as_user(guarded, basic("alice", other), "/").status_code == 200
        assert as_user(guarded, f"Bearer {guarded.tokens['alice']}", "/").status_code == 200
        # A file that cannot be read lets nobody in.
        content = guarded.users.path.read_bytes()
        guarded.users.path.write_text("{")
        time.sleep(1.2)
        assert as_user(guarded, basic("alice", other), "/").status_code == 503
        guarded.users.path.write_bytes(content)
        time.sleep(1.2)
        assert as_user(guarded, basic("alice", other), "/").status_code == 200
    finally:
        guarded.users.set_password("alice", PASSWORD)
        time.sleep(1.2)


def test_guessing_passwords_leaves_the_rest_answered(guarded):
    """Many at the same time are checked one by one, and others do not wait for them."""
    statuses = []

    def guess(number):
        for at in range(10):
            header = {"Authorization": basic("alice", f"guess {number} {at}")}
            statuses.append(httpx.get(guarded.uri + "/", headers=header, timeout=60).status_code)

    threads = [threading.Thread(target=guess, args=(at,)) for at in range(6)]
    for each in threads:
        each.start()
    slowest = 0.0
    while any(each.is_alive() for each in threads):
        begun = time.monotonic()
        assert as_user(guarded, f"Bearer {guarded.tokens['alice']}", "/").status_code == 200
        slowest = max(slowest, time.monotonic() - begun)
    assert set(statuses) <= {401, 503}
    assert slowest < 2


def test_guessing_from_one_address_locks_nobody_out_elsewhere(guarded):
    """However many passwords one address sends, a right one from another is checked in time."""
    over = threading.Event()

    def guess(number):
        header = {"Authorization": basic("alice", f"guess of many {number}")}
        with httpx.Client(timeout=60) as client:
            while not over.is_set():
                if client.get(guarded.uri + "/", headers=header).status_code == 503:
                    time.sleep(0.1)

    guarded.users.set_password("carol", PASSWORD)
    time.sleep(1.2)
    threads = [threading.Thread(target=guess, args=(at,)) for at in range(40)]
    for each in threads:
        each.start()
    try:
        time.sleep(0.7)
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
        header = {"Authorization": basic("carol", PASSWORD)}
        with httpx.Client(transport=elsewhere, timeout=60) as client:
            assert client.get(guarded.uri + "/", headers=header).status_code == 200
    finally:
        over.set()
        for each in threads:
            each.join()
        guarded.users.remove("carol")


def test_the_file_of_users(tmp_path):
    """It has hashes, only its owner reads it, and what cannot be is refused."""
    users = UserFile(tmp_path / "users.json")
    with pytest.raises(StoreError, match="skledger server-auth add"):
        users.read()
    users.set_password("alice", PASSWORD)
    token = users.add_token("alice", "laptop")
    text = users.path.read_text()
    assert PASSWORD not in text
    assert token not in text
    assert "$argon2id$" in text
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    user = users.read()["alice"]
    assert check_password(user.password, PASSWORD)
    assert not check_password(user.password, "other")
    assert [each.note for each in user.tokens] == ["laptop"]
    for name in ("", "a:b", "a b", "-a", "x" * 200, "a\n"):
        with pytest.raises(InvalidParameterError, match="name of a user"):
            users.set_password(name, PASSWORD)
    with pytest.raises(InvalidParameterError, match="8 to 1024"):
        users.set_password("alice", "short")
    with pytest.raises(NotFoundError, match="alice"):
        users.remove("bob")
    with pytest.raises(NotFoundError, match="no token"):
        users.remove("alice", "nonsense")
    users.remove("alice", user.tokens[0].id)
    assert users.read()["alice"].tokens == ()
    users.remove("alice")
    assert users.read() == {}
    users.path.write_text('{"version": 99, "users": {}}')
    with pytest.raises(StoreError, match="version is 99"):
        users.read()
