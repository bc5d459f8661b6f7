"""Commands of the command line, run in a test: in this process, or on a terminal of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from click.testing import CliRunner

import skledger
from skledger.cli import main


def invoke(*arguments, code=0):
    """Run a command in this process; return its result."""
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def book(name, *, metrics=None, params=None, **kwargs):
    """Book a run of the user's; return its identifier."""
    with skledger.start_run(run_name=name, **kwargs) as run:
        skledger.log_metrics(metrics or {})
        skledger.log_params(params or {})
    return run.info.run_id


def on_terminal(width, *arguments):
    """Return the lines that a command prints on a terminal of that width, without colours."""
    import fcntl
    import pty
    import struct
    import termios

    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "skledger", *arguments],
        stdin=there, stdout=there, stderr=there, env={**environment, "TERM": "xterm"},
    )  # fmt: skip
    os.close(there)
    received = b""
    try:
        while piece := os.read(here, 4096):
            received += piece
    except OSError:  # Linux says so when the other side has closed
        pass
    assert process.wait(60) == 0
    os.close(here)
    return re.sub(r"\x1b\[[0-9;]*m", "", received.decode()).replace("\r", "").splitlines()
