"""Database servers of the tests' own: in a temporary folder, on a free port, gone with the tests.

A server is started when a test first asks for it, once per process of the tests, and each test
gets a database of its own. Nothing that is on the machine already is touched.
"""

from __future__ import annotations

import glob
import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

#: Waits for its standard input to end, however the tests end, then ends the server, and cleans up
#: when nobody else is left to do it.
GUARD = """
"$@" >>"$LOG" 2>&1 &
server=$!
cat >/dev/null
signal=$(cat signal 2>/dev/null || echo KILL)
kill -$signal $server 2>/dev/null
( sleep 5; kill -KILL $server ) >/dev/null 2>&1 &
wait $server
kill $! 2>/dev/null
test -e signal || rm -rf "$PWD"
"""


class Missing(Exception):
    """The server's programs are not installed."""


def need(driver):
    """Refuse to start what the tests could not talk to."""
    if importlib.util.find_spec(driver) is None:
        raise Missing(f"no {driver} in this environment")


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def roomy_memory():
    """Return a file system in memory that has room for a server, else None: disks are slow."""
    try:
        room = shutil.disk_usage("/dev/shm").free
    except OSError:
        return None
    return "/dev/shm" if room > 2**30 else None


def find_program(name, *places):
    found = shutil.which(name) or next(
        (path for place in places for path in sorted(glob.glob(f"{place}/{name}"))), None
    )
    if found is None:
        raise Missing(f"no {name} on this machine")
    return found


class Server:
    """What the servers share: a folder, a port, and a process that is guarded."""

    user = driver = ""
    #: What makes the server end at once, in good order.
    signal = "TERM"
    #: What makes it end without regard to its data.
    last_signal = "KILL"
    count = itertools.count()

    def __init__(self):
        need(self.driver)
        # Servers refuse to work as root.
        self.as_user = {}
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam(self.user)
            except KeyError:
                raise Missing(f"no user {self.user} on this machine") from None
            self.as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="skledger-server-", dir=roomy_memory()))
        self.log = self.folder / "log"
        self.process = None
        if self.as_user:
            os.chown(self.folder, self.as_user["user"], self.as_user["group"])
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.remove()
            raise

    def run(self, *command):
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, **self.as_user
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        self.process = subprocess.Popen(
            ["sh", "-c", GUARD, "guard", *self.command()],
            stdin=subprocess.PIPE,
            cwd=self.folder,
            env={**os.environ, "LOG": str(self.log)},
            start_new_session=True,
            **self.as_user,
        )
        deadline = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{type(self).__name__}: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def answers(self):
        try:
            self.execute("SELECT 1")
        except Exception:
            return False
        return True

    def stop(self, signal=None):
        if self.process is not None:
            # What is not stopped in good order goes at once.
            (self.folder / "signal").write_text(signal or self.signal)
            self.process.stdin.close()
            self.process.wait(30)
            self.process = None

    def remove(self):
        self.stop(self.last_signal)
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self):
        """Return the URI of an empty database."""
        name = f"d{next(self.count)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.uri(name)


class Postgres(Server):
    user = "postgres"
    driver = "psycopg"
    signal = "INT"
    last_signal = "QUIT"

    def prepare(self):
        self.programs = Path(
            os.path.dirname(find_program("initdb", "/usr/lib/postgresql/*/bin", "/opt/*/bin"))
        )
        self.data = self.folder / "data"
        self.run(
            self.programs / "initdb", "-D", self.data, "-A", "trust", "-U", "tester",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip

    def command(self):
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "max_connections": "100",
            "shared_buffers": "32MB",
            "fsync": "off",
        }
        settings = itertools.chain.from_iterable(("-c", f"{k}={v}") for k, v in options.items())
        return [self.programs / "postgres", "-D", self.data, "-p", str(self.port), *settings]

    def uri(self, database):
        return f"postgresql://tester@127.0.0.1:{self.port}/{database}"

    def connect(self, database="postgres"):
        import psycopg

        return psycopg.connect(self.uri(database), autocommit=True, connect_timeout=5)

    def execute(self, statement, database="postgres"):
        with self.connect(database) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


class Mysql(Server):
    """MariaDB, or MySQL where that is what is installed."""

    user = "mysql"
    driver = "pymysql"

    def prepare(self):
        try:
            self.program = find_program("mariadbd", "/usr/sbin", "/usr/libexec")
            install = find_program("mariadb-install-db", "/usr/bin", "/usr/local/bin")
            first = [install, "--no-defaults", "--auth-root-authentication-method=normal",
                     "--skip-test-db"]  # fmt: skip
        except Missing:
            self.program = find_program("mysqld", "/usr/sbin", "/usr/libexec")
            first = [self.program, "--no-defaults", "--initialize-insecure"]
        self.data = self.folder / "data"
        self.run(*first, f"--datadir={self.data}")

    def command(self):
        return [
            self.program,
            "--no-defaults",
            f"--datadir={self.data}",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            # What a test needs to survive is the server, not the machine.
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-file-per-table=0",
            *(["--innodb-flush-method=nosync"] if "mariadb" in self.program else []),
            "--innodb-buffer-pool-size=64M",
        ]

    def uri(self, database):
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}"

    def connect(self, database=None):
        import pymysql

        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database, connect_timeout=5,
            autocommit=True, charset="utf8mb4",
        )  # fmt: skip

    def execute(self, statement, database=None):
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())
