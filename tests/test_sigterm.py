"""SIGTERM: what is under way is booked, and the process goes as it would without us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from skledger._sigterm import ending_on_sigterm

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")

PREAMBLE = """
import _thread, os, signal, sys, threading, time
from skledger._sigterm import ending_on_sigterm

def note(text):
    os.write(1, (text + "\\n").encode())

def booking(text="booked"):
    return lambda: note(text)
"""


class Script:
    """Code in a new Python that has said ``ready``."""

    def __init__(self, code, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline().strip()
        if line != "ready":
            self.process.kill()
            raise AssertionError(line + self.process.stderr.read())

    def send(self, number=signal.SIGTERM, after=0.3):
        time.sleep(after)
        self.sent = time.monotonic()
        self.process.send_signal(number)
        return self

    def end(self, within):
        """Return the exit status and the lines written since it was ready."""
        out, self.errors = self.process.communicate(timeout=60)
        took = time.monotonic() - self.sent
        assert took < within, f"{took:.1f} s; {self.errors}"
        return self.process.returncode, out.split()


@pytest.fixture
def script(tmp_path):
    scripts = []

    def start(code):
        scripts.append(Script(code, tmp_path))
        return scripts[-1]

    yield start
    for each in scripts:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


LONG = {
    "python": "while True: pass",
    "sleep": "time.sleep(30)",
    "without the GIL": "import hashlib\nhashlib.pbkdf2_hmac('sha512', b'a', b'b', 60_000_000)",
    "NumPy": "import numpy as np\nnp.linalg.svd(np.random.default_rng(0).normal(size=(6000, 6000)))",
    "a lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "a thread": "t = threading.Thread(target=time.sleep, args=(30,)); t.start(); t.join()",
}


@pytest.mark.parametrize("doing", LONG.values(), ids=LONG)
def test_what_is_under_way_is_booked_and_the_process_dies_at_once(script, doing):
    """Whatever the main thread does, the end is booked and the exit status is the signal's."""
    code = "with ending_on_sigterm(booking()):\n    note('ready')\n" + textwrap.indent(
        doing, "    "
    )
    status, lines = script(code).send(after=1.0).end(within=1.5)
    assert (status, lines) == (-signal.SIGTERM, ["booked"])


def test_a_c_call_that_keeps_the_gil_delays_the_end_and_no_more(script):
    """Nothing of Python runs meanwhile; when the call returns the end comes as always."""
    code = """
    import random
    numbers = [random.random() for _ in range(1_500_000)]
    with ending_on_sigterm(booking()):
        note("ready")
        sorted(numbers)
        while True:
            time.sleep(0.01)
    """
    status, lines = script(code).send(after=0.05).end(within=20)
    assert (status, lines) == (-signal.SIGTERM, ["booked"])


def test_booking_may_need_what_the_main_thread_holds(script):
    """The main thread goes on while the end is booked, so a lock it holds is let go."""
    code = """
    lock = threading.Lock()
    def book():
        with lock:
            note("booked")
    with ending_on_sigterm(book):
        note("ready")
        while True:
            with lock:
                sum(range(1000))
    """
    assert script(code).send().end(within=1.5) == (-signal.SIGTERM, ["booked"])


def test_booking_that_hangs_is_left(script):
    """After two seconds the process goes all the same."""
    code = """
    with ending_on_sigterm(lambda: time.sleep(60)):
        note("ready")
        time.sleep(60)
    """
    assert script(code).send().end(within=3) == (-signal.SIGTERM, [])


def test_booking_that_fails_keeps_nothing_from_ending(script):
    """A failure is one log line, and the blocks around are booked."""
    code = """
    with ending_on_sigterm(booking()), ending_on_sigterm(lambda: 1 / 0):
        note("ready")
        time.sleep(60)
    """
    ended = script(code).send()
    assert ended.end(within=1.5) == (-signal.SIGTERM, ["booked"])
    assert "could not book the end by SIGTERM: ZeroDivisionError" in ended.errors


def test_nested_blocks_are_booked_from_within(script):
    """The innermost comes first, each once; a block that has ended is not booked."""
    code = """
    with ending_on_sigterm(booking("outer")), ending_on_sigterm(booking("middle")):
        with ending_on_sigterm(booking("ended")):
            pass
        with ending_on_sigterm(booking("inner")):
            note("ready")
            time.sleep(60)
    """
    status, lines = script(code).send().end(within=1.5)
    assert (status, lines) == (-signal.SIGTERM, ["inner", "middle", "outer"])


def test_nothing_happens_after_a_block_that_was_asked_to_end(script):
    """A main thread that leaves the block while it is booked waits there for the end."""
    code = """
    came = threading.Event()
    def book():
        came.set()
        time.sleep(0.5)
        note("booked")
    try:
        with ending_on_sigterm(booking("outer")):
            with ending_on_sigterm(book):
                note("ready")
                came.wait()
            note("went on")
    finally:
        note("ended")
        os._exit(0)
    """
    status, lines = script(code).send().end(within=2)
    assert (status, lines) == (-signal.SIGTERM, ["booked", "outer"])


def test_sigterm_sent_twice_books_once(script):
    """`timeout` sends it to the process and then to its group."""
    code = """
    def book():
        time.sleep(0.3)
        note("booked")
    with ending_on_sigterm(book):
        note("ready")
        time.sleep(60)
    """
    ended = script(code).send().send(after=0.05)
    assert ended.end(within=1.5) == (-signal.SIGTERM, ["booked"])


def test_ctrl_c_in_the_block_is_the_users(script):
    """SIGINT raises KeyboardInterrupt as always, and the block gives all back."""
    code = """
    try:
        with ending_on_sigterm(booking()):
            note("ready")
            time.sleep(60)
    except KeyboardInterrupt:
        note("interrupted")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
    """
    assert script(code).send(signal.SIGINT).end(within=2) == (0, ["interrupted"])


def test_the_users_handler_of_before_is_theirs(script):
    """Where SIGTERM is handled already we do nothing."""
    code = """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    with ending_on_sigterm(booking()):
        note("ready")
        time.sleep(60)
    """
    assert script(code).send().end(within=2) == (7, [])


def test_the_users_handler_of_inside_is_theirs(script):
    """A handler put inside the block is called there and afterwards; forks change nothing."""
    code = """
    import multiprocessing
    came = []
    with ending_on_sigterm(booking()):
        signal.signal(signal.SIGTERM, lambda *_: came.append(1))
        child = multiprocessing.get_context("fork").Process(target=sum, args=((1, 2),))
        child.start()
        child.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
    assert came == [1]
    assert signal.set_wakeup_fd(-1) == -1
    note("ready")
    while len(came) < 2:
        time.sleep(0.01)
    """
    assert script(code).send().end(within=2) == (0, [])


def test_ours_put_back_after_the_block_acts_as_the_default(script):
    """Code that restores what it found inside the block restores the default action."""
    code = """
    with ending_on_sigterm(booking()):
        before = signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGTERM, before)
    note("ready")
    time.sleep(60)
    """
    assert script(code).send().end(within=1) == (-signal.SIGTERM, [])


def test_an_ignored_signal_stays_ignored(script):
    """A process that ignores SIGTERM goes on, and nothing is booked."""
    code = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with ending_on_sigterm(booking()):
        note("ready")
        time.sleep(0.6)
    """
    assert script(code).send().end(within=3) == (0, [])


def test_in_another_thread_it_does_nothing(script):
    """Only the main thread may put handlers; there SIGTERM ends the process as without us."""
    code = """
    def work():
        with ending_on_sigterm(booking()):
            note("ready")
            time.sleep(60)
    threading.Thread(target=work).start()
    """
    assert script(code).send().end(within=1) == (-signal.SIGTERM, [])


def test_an_event_loop_keeps_its_wakeup_fd(script):
    """Where a file descriptor is set for signals it stays, and SIGTERM is booked by the handler."""
    code = """
    import asyncio
    async def main():
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        with ending_on_sigterm(booking()):
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(heard.wait(), 30)
            note("ready")
            await asyncio.sleep(60)
    asyncio.run(main())
    """
    assert script(code).send().end(within=1.5) == (-signal.SIGTERM, ["booked"])


def test_forked_children_are_terminated_as_without_us(script):
    """A child has the default action from its first moment; its parent goes on and still books."""
    code = """
    import multiprocessing
    fork = multiprocessing.get_context("fork")
    def child(queue):
        queue.put((signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.set_wakeup_fd(-1)))
        with ending_on_sigterm(booking("child")):
            pass
        time.sleep(60)
    with ending_on_sigterm(booking("parent")):
        queue = fork.Queue()
        seen = fork.Process(target=child, args=(queue,))
        seen.start()
        assert queue.get() == (True, -1)
        hasty = [fork.Process(target=time.sleep, args=(60,)) for _ in range(30)]
        for each in hasty:
            each.start()
            each.terminate()
        seen.terminate()
        began = time.monotonic()
        for each in [seen, *hasty]:
            each.join()
            assert each.exitcode == -signal.SIGTERM, each.exitcode
        assert time.monotonic() - began < 1
        statuses = []
        def fork_in_thread():
            pid = os.fork()
            if pid == 0:
                os._exit(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
            statuses.append(os.waitpid(pid, 0)[1])
        thread = threading.Thread(target=fork_in_thread)
        thread.start()
        thread.join()
        assert statuses == [0], statuses
        note("ready")
        time.sleep(60)
    """
    assert script(code).send().end(within=1.5) == (-signal.SIGTERM, ["parent"])


def test_other_programs_are_unaffected(script):
    """A program started inside the block has the default action and none of our files."""
    code = """
    import subprocess
    with ending_on_sigterm(booking()):
        ask = "import os, signal; print(signal.getsignal(15) is signal.SIG_DFL, len(os.listdir('/dev/fd')))"
        inside = subprocess.check_output([sys.executable, "-c", ask])
        sleeping = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        sleeping.terminate()
        assert sleeping.wait(5) == -signal.SIGTERM
    outside = subprocess.check_output([sys.executable, "-c", ask])
    assert inside == outside and inside.startswith(b"True"), (inside, outside)
    note("ready")
    time.sleep(60)
    """
    assert script(code).send().end(within=1) == (-signal.SIGTERM, [])


def test_when_the_block_ends_everything_is_as_before(run_python):
    """Handler, wakeup, threads and files are those of before, also after an exception."""
    run_python(
        """
        import os, signal, sys, time
        from skledger._sigterm import ending_on_sigterm

        def state():
            tasks = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0
            files = len(os.listdir("/dev/fd"))
            return signal.getsignal(signal.SIGTERM), sys._current_frames().keys(), tasks, files

        with ending_on_sigterm(print):  # ctypes is imported, which may keep a file
            pass
        time.sleep(0.1)
        before = state()
        for _ in range(200):
            try:
                with ending_on_sigterm(print), ending_on_sigterm(print):
                    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
                    raise ValueError
            except ValueError:
                pass
            assert signal.set_wakeup_fd(-1) == -1
        deadline = time.monotonic() + 5
        while state() != before and time.monotonic() < deadline:
            time.sleep(0.01)  # a thread is counted by the system for a moment more
        assert state() == before, (before, state())
        """
    )


def test_the_first_process_of_a_container_is_left_alone(monkeypatch):
    """The kernel ignores SIGTERM there by default, so nothing ends and nothing is booked."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with ending_on_sigterm(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_without_files_to_open_the_block_runs(monkeypatch, swallowed):
    """Our failure is one log line; the block is the user's."""

    def no_pipe():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe", no_pipe)
    with ending_on_sigterm(lambda: None):
        ran = True
    assert ran and len(swallowed) == 1
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    swallowed.clear()


def test_a_block_costs_microseconds():
    """It costs about as much as a thread, and inside another block next to nothing."""

    def best(repeat=50):
        took = []
        for _ in range(repeat):
            began = time.perf_counter()
            with ending_on_sigterm(lambda: None):
                pass
            took.append(time.perf_counter() - began)
        return min(took)

    assert best() < 500e-6
    with ending_on_sigterm(lambda: None):
        assert best() < 50e-6
