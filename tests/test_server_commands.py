"""The commands `skledger ui`, `skledger server` and `skledger server-auth`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from _tracking_server import TrackingServer
from click.testing import CliRunner

import skledger
from skledger.cli import main
from skledger.server.security.users import UserFile

DOCS = Path(__file__).parent.parent / "docs" / "server.md"
API = "/api/2.0/mlflow"


def skledger_says(*words, env=None, stdin="", **options):
    """Run a command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "skledger", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        input=stdin,
        env={**os.environ, **(env or {})},
        **options,
    )


# -- who may reach it --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["ui", "server"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_others_reach_it_only_when_somebody_said_how(command, host):
    """Without --auth or --insecure it refuses to listen where others are, and says what to do."""
    done = skledger_says(command, "--host", host, "--port", "0")
    assert done.returncode == 2
    assert "--auth" in done.stderr
    assert "--insecure" in done.stderr
    assert "server-auth add" in done.stderr
    assert not Path("skledger.db").exists()


def test_insecure_is_said_aloud(tmp_path):
    """With a warning; the addresses of the machine are taken, names are not."""
    with TrackingServer("s.db", "--host", "0.0.0.0", "--insecure", folder=tmp_path) as server:
        assert "Warning: everybody" in server.text()
        assert server.uri.startswith("http://127.0.0.1:")
        for host, status in (("10.9.8.7", 200), ("tracking.example.org", 403)):
            answer = server.client.get("/health", headers={"Host": f"{host}:{server.port}"})
            assert answer.status_code == status
        assert "--allowed-hosts tracking.example.org" in answer.text


def test_auth_needs_users(tmp_path):
    """A file that is missing, empty or no such file is told before anything listens."""
    missing = skledger_says("server", "--auth", "--port", "0")
    assert missing.returncode == 1
    assert "skledger-auth.json" in missing.stderr
    assert "skledger server-auth add" in missing.stderr
    UserFile("nobody.json")._write({})
    nobody = skledger_says("server", "--auth", "nobody.json", "--port", "0")
    assert nobody.returncode == 1
    assert "nobody is in" in nobody.stderr
    both = skledger_says("server", "--auth", "nobody.json", "--insecure")
    assert both.returncode == 2
    assert "contradict" in both.stderr


def test_with_auth_others_may_reach_it(tmp_path):
    """Our own client and tokens, end to end."""
    token = UserFile(tmp_path / "skledger-auth.json").add_token("alice")
    with TrackingServer("s.db", "--host", "0.0.0.0", "--auth", folder=tmp_path) as server:
        assert server.client.get("/").status_code == 401
        script = (
            "import skledger\n"
            "with skledger.start_run(run_name='by token') as run:\n"
            "    skledger.log_metric('m', 1.0)\n"
            "    skledger.log_text('hello', 'note.txt')\n"
            "assert skledger.flush(30)\n"
        )
        env = {"SKLEDGER_TRACKING_URI": server.uri, "MLFLOW_TRACKING_TOKEN": token}
        env["SKLEDGER_OUTBOX"] = str(tmp_path / "outbox")
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **env},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        headers = {"Authorization": f"Bearer {token}"}
        body = {"experiment_ids": ["0"]}
        found = server.client.post(f"{API}/runs/search", json=body, headers=headers).json()["runs"]
        assert [each["info"]["run_name"] for each in found] == ["by token"]
        assert [each["value"] for each in found[0]["data"]["metrics"]] == [1.0]
    assert [each.read_text() for each in tmp_path.glob("s-artifacts/**/note.txt")] == ["hello"]


# -- what is served ----------------------------------------------------------------------------------


def book(uri, name):
    skledger.set_tracking_uri(uri)
    with skledger.start_run(run_name=name):
        skledger.log_text("text", "note.txt")
    skledger.set_tracking_uri(None)


def names_at(server):
    body = {"experiment_ids": ["0"]}
    runs = server.client.post(f"{API}/runs/search", json=body).json().get("runs", [])
    return [each["info"]["run_name"] for each in runs]


def test_every_kind_of_store_is_served(tmp_path):
    """A URI, the path of a database, a folder, a variable, and what is in this folder."""
    database, folder = tmp_path / "some.db", tmp_path / "runs"
    book(f"sqlite:///{database}", "in a database")
    book(str(folder), "in a folder")
    book(f"sqlite:///{tmp_path}/skledger.db", "here")
    for given, name, env in (
        (f"sqlite:///{database}", "in a database", {}),
        ("some.db", "in a database", {}),
        (folder, "in a folder", {}),
        ("", "here", {}),
        ("", "in a database", {"MLFLOW_TRACKING_URI": f"sqlite:///{database}"}),
    ):
        with TrackingServer(given, command="ui", folder=tmp_path, env=env) as server:
            assert names_at(server) == [name]
            assert "was no database" not in server.text()
    with TrackingServer("some.db", folder=tmp_path) as server:
        assert names_at(server) == ["in a database"]


def test_what_cannot_be_served_is_told():
    """Another server, what is no store, options that contradict each other."""
    for words, text in (
        (("ui", "http://127.0.0.1:1"), "open it in a browser"),
        (("server", "--host", "nowhere.invalid", "--insecure"), "there is no host 'nowhere"),
        (("server", "--host", "192.0.2.1", "--insecure"), "no address of this machine"),
        (("server", "--uri", "http://me:secret@127.0.0.1:1"), "http://127.0.0.1:1 is a tracking"),
        (("ui", "s3://bucket"), "place for artifacts"),
        (("server", "--uri", "memory:", "--workers", "2"), "memory:"),
        (("server", "--no-serve-artifacts", "--artifacts-destination", "x"), "contradict"),
        (("server", "--max-body", "0"), "no size"),
    ):
        done = skledger_says(*words)
        assert done.returncode == (2 if text in ("memory:", "contradict", "no size") else 1), words
        assert "Another program" not in done.stderr
        assert text in done.stderr
        assert "secret" not in done.stderr
        assert "Traceback" not in done.stderr


def test_where_files_go(tmp_path):
    """To the server unless it says otherwise; experiments tell clients where."""

    def location(server, name):
        told = server.client.post(f"{API}/experiments/create", json={"name": name}).json()
        answer = server.client.get(f"{API}/experiments/get", params=told).json()["experiment"]
        return answer["artifact_location"], told["experiment_id"]

    with TrackingServer("a.db", folder=tmp_path) as server:
        place, number = location(server, "sent")
        assert place == f"mlflow-artifacts:/{number}"
        path = f"/api/2.0/mlflow-artifacts/artifacts/{number}/x.txt"
        assert server.client.put(path, content=b"x").status_code == 200
        assert (tmp_path / f"a-artifacts/{number}/x.txt").read_bytes() == b"x"
    with TrackingServer("a.db", artifacts="elsewhere", folder=tmp_path) as server:
        assert server.client.put(path, content=b"y").status_code == 200
        assert (tmp_path / f"elsewhere/{number}/x.txt").read_bytes() == b"y"
    with TrackingServer("b.db", "--no-serve-artifacts", folder=tmp_path) as server:
        place, number = location(server, "own")
        assert place == f"{tmp_path}/b-artifacts/{number}"
        assert server.client.put(path, content=b"x").status_code >= 400
    root = ("--default-artifact-root", "s3://bucket/root")
    with TrackingServer("c.db", *root, folder=tmp_path) as server:
        place, number = location(server, "bucket")
        assert place == f"s3://bucket/root/{number}"
    with TrackingServer("memory:", folder=tmp_path) as server:
        place, number = location(server, "memory")
        assert place == f"mlflow-artifacts:/{number}"


def test_read_only(tmp_path):
    """Reading works, changing does not, in the API as in pages."""
    book(f"sqlite:///{tmp_path}/s.db", "kept")
    with TrackingServer("s.db", "--read-only", folder=tmp_path) as server:
        assert names_at(server) == ["kept"]
        assert server.client.get("/").status_code == 200
        for path in (f"{API}/experiments/create", "/experiments/0/rename"):
            answer = server.client.post(path, json={"name": "x"})
            assert answer.status_code == 403
            assert "only read" in answer.text


# -- ui ----------------------------------------------------------------------------------------------


def test_the_next_free_port(tmp_path):
    """When none is asked for, and the usual one is taken; a port that was asked for is not left."""
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 5000))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        words = [sys.executable, "-m", "skledger", "ui", "--no-browser"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=unbuffered())
        try:
            first, second = process.stdout.readline(), process.stdout.readline()
            address = re.search(r"at (http://127\.0\.0\.1:(\d+))$", first.strip())
            assert 5000 < int(address[2]) <= 5100
            assert "Ctrl-C stops it" in second
            assert httpx.get(address[1]).status_code == 200
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            process.stdout.close()
        asked = skledger_says("ui", "--no-browser", "--port", "5000")
        assert asked.returncode == 1
        assert "port 5000" in asked.stderr


def unbuffered():
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def test_it_opens_a_browser(tmp_path):
    """The one of the user, at the address, unless told not to."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/opened\n')
    browser.chmod(0o755)
    env = {"BROWSER": f"{browser} %s", "PYTHONUNBUFFERED": "1"}
    words = [sys.executable, "-m", "skledger", "ui", "--port", "0"]
    process = subprocess.Popen(
        words, env={**os.environ, **env}, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        address = process.stdout.readline().strip().rpartition(" ")[2]
        opened = tmp_path / "opened"
        end = time.monotonic() + 20
        while not (opened.exists() and opened.read_text()):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert opened.read_text().strip() == address
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
    opened.unlink()
    with TrackingServer("", command="ui", folder=tmp_path, env=env):
        time.sleep(0.3)
    assert not opened.exists()


def test_an_empty_place_is_told(tmp_path):
    """A database that is not there is made, and that is said: perhaps the folder is a wrong one."""
    with TrackingServer("", command="ui", folder=tmp_path) as server:
        assert "There was no database" in server.text()
        assert server.client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ui", "nothere.db", "--no-browser"), "nothing at"),
        (("ui", "nothere", "--no-browser"), "nothing at"),
        (("ui", "sqlite:///no/such/x.db", "--no-browser"), "no folder"),
        (("server", "--backend-store-uri", "sqlite:///no/such/x.db"), "no folder"),
        (("server", "--backend-store-uri", "no/such/runs"), "no folder"),
        (("server", "--artifacts-destination", "/proc/x"), "no file can be written"),
        (("server", "--artifacts-destination", "file:///proc/x"), "no file can be written"),
        (("server", "--artifacts-destination", "../../../../../proc/x"), "no file can be"),
    ],
)
def test_a_slip_of_the_hand_makes_no_store(tmp_path, words, told):
    """What is not there is named, and nothing is made in its place."""
    done = skledger_says(*words, "--port", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_start_makes_nothing(tmp_path):
    """Nor does it say so: the port is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = skledger_says("server", "--port", port, cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert "is made" not in done.stderr
    assert list(tmp_path.iterdir()) == []


# -- users -------------------------------------------------------------------------------------------


def test_users_are_added_listed_and_removed(tmp_path):
    """With a password that is asked twice or read, and with tokens that are shown once."""
    runner = CliRunner()

    def run(*words, stdin=None):
        return runner.invoke(main, ["server-auth", *words], input=stdin)

    asked = run("add", "alice", stdin="correct horse\ncorrect horse\n")
    assert asked.exit_code == 0, asked.output
    assert "correct horse" not in asked.output
    assert (
        run("add", "bob", "--password-stdin", "--read-only", stdin="battery staple\n").exit_code
        == 0
    )
    assert run("add", "eve", stdin="correct horse\nother horse\n").exit_code == 1
    short = run("add", "eve", "--password-stdin", stdin="short\n")
    assert short.exit_code == 1
    assert "8 to 1024" in short.output
    made = run("token", "alice", "--note", "laptop")
    token = made.stdout.strip()
    assert token.startswith("skl_")
    assert "cannot be shown again" in made.stderr
    listed = run("list").output
    assert "alice: a password\n" in listed
    assert "bob: a password, read only\n" in listed
    assert "laptop" in listed
    assert token not in listed
    shown = re.search(r"token (\S+)", listed)[1]
    assert run("remove", "alice", "--token", shown).exit_code == 0
    assert "token" not in run("list").output
    run("token", "alice", "--read-only", "--note", "board")
    assert re.search(r"alice: a password\n  token \S+  \S+, read only  board\n", run("list").output)
    again = ("add", "bob", "--password-stdin")
    assert run(*again, stdin="battery staple 2\n").exit_code == 0
    assert "bob: a password, read only\n" in run("list").output
    assert run(*again, "--no-read-only", stdin="battery staple 2\n").exit_code == 0
    assert "bob: a password\n" in run("list").output
    assert run("remove", "alice").exit_code == 0
    assert "alice" not in run("list").output
    assert run("remove", "nobody").exit_code == 1
    assert "bob" in run("remove", "nobody").output


def test_without_argon2_tokens_work_and_passwords_say_what_to_install(tmp_path):
    """The message names the extra; a server with tokens alone starts."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "argon2.py").write_text("raise ImportError('not here')")
    env = {"PYTHONPATH": f"{blocked}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    added = skledger_says("server-auth", "add", "alice", env=env)
    assert added.returncode == 1
    assert "pip install 'skledger[auth]'" in added.stderr
    assert skledger_says("server-auth", "token", "alice", env=env).returncode == 0
    with TrackingServer("s.db", "--auth", folder=Path.cwd(), env=env) as server:
        assert server.client.get("/").status_code == 401
        answer = server.client.get("/", auth=("alice", "some password"))
        assert answer.status_code == 401
    UserFile("skledger-auth.json").set_password("bob", "battery staple")
    refused = skledger_says("server", "--auth", "--port", "0", env=env)
    assert refused.returncode == 1
    assert "skledger[auth]" in refused.stderr


# -- documentation -----------------------------------------------------------------------------------


def test_the_documentation_knows_the_commands():
    """docs/server.md shows commands and options that exist."""
    text = DOCS.read_text(encoding="utf-8")
    shown = re.findall(r"^skledger (server-auth|server|ui)\b([^\n]*)", text, re.MULTILINE)
    assert {name for name, _ in shown} == {"ui", "server", "server-auth"}
    for name, words in shown:
        command = main.commands[name]
        if name == "server-auth":
            command = command.commands[words.split()[0]]
        known = {
            each for option in command.params for each in (*option.opts, *option.secondary_opts)
        }
        used = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", words))
        assert used <= known, (name, used - known)
