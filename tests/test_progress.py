"""The progress of a search: on a terminal, in a notebook, and where it must be silent."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from skledger.ledger import progress, screens
from skledger.ledger.progress import Progress, open_progress

PREAMBLE = """
import os, sys, time
from skledger.ledger.progress import Progress, open_progress

def advance(bar, seconds=0.3, first=36):
    "Updates as a search has them, from another thread, for so long after half a second."
    import threading
    def work():
        end, done = bar._state.began + 0.5 + seconds, first
        while time.monotonic() < end:
            done = min(done + 1, 143)
            bar.update(done, 144, 0.9731, 0)
            time.sleep(0.02)
    worker = threading.Thread(target=work)
    worker.start()
    return worker
"""


def screen_of(written, columns=100):
    """Return the lines that a terminal shows, of the few controls that are used."""
    lines, row, column = [[]], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.|\n|\r", written, re.DOTALL):
        if token == "\r":
            column = 0
        elif token == "\n":
            row, column = row + 1, column
        elif token == "\x1b[J":
            del lines[row][column:], lines[row + 1 :]
        elif token.startswith("\x1b["):
            assert token.endswith("m"), repr(token)
        else:
            if column == columns:
                row, column = row + 1, 0
            while len(lines) <= row:
                lines.append([])
            line = lines[row]
            line.extend(" " * (column + 1 - len(line)))
            line[column] = token
            column += 1
        while len(lines) <= row:
            lines.append([])
    return ["".join(line).rstrip() for line in lines if "".join(line).strip()]


class Terminal:
    """Code in a new Python whose three streams are a pseudo-terminal."""

    def __init__(self, code, folder, env=(), stdout=None, columns=100):
        import fcntl
        import pty
        import struct
        import termios

        self.columns = columns
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        unwanted = ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "TTY_INTERACTIVE")
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
            cwd=folder,
            stdin=slave,
            stdout=stdout or slave,
            stderr=slave,
            start_new_session=True,
            env={**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **dict(env)},
        )
        os.close(slave)
        self.written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        try:
            while piece := os.read(self.master, 4096):
                self.written += piece
        except OSError:  # the last program has closed it
            pass

    @property
    def text(self):
        return self.written.decode()

    @property
    def lines(self):
        return screen_of(self.text, self.columns)

    def wait_for(self, text):
        deadline = time.monotonic() + 30
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)

    def end(self, status=0):
        assert self.process.wait(60) == status, self.text
        self._reader.join(10)
        os.close(self.master)
        return self


@pytest.fixture
def terminal(tmp_path):
    pytest.importorskip("pty")

    started = []

    def start(code, **options):
        started.append(Terminal(code, tmp_path, **options))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


PLAIN = """
bar = open_progress("GridSearchCV: SVC", "auto")
advance(bar).join()
print("rich.live" in sys.modules)
bar.update(144, 144, 0.97312, 2)
bar.close()
"""


def test_a_terminal_shows_a_bar_and_keeps_one_line(terminal):
    """The bar has figures, the best score and the times; in the end one line says it all."""
    shown = terminal(PLAIN).end()
    bars = screen_of(shown.text.split("False")[0].rpartition("\x1b[J\r")[0])
    assert re.fullmatch(r"GridSearchCV: SVC ━{20,30} \d+/144 best 0.9731 0:00, 0:0\d left", bars[0])
    assert shown.lines[-1] == "GridSearchCV: SVC 144/144 best 0.9731, 2 failed in 0:00"
    assert shown.lines[:-1] == ["False"]
    assert "\x1b[?25l" not in shown.text  # the cursor was never hidden


def test_the_bar_fits_a_narrow_terminal(terminal):
    """It is cut rather than wrapped, so that it can be cleared."""
    shown = terminal(PLAIN, columns=30).end()
    wrapped = "GridSearchCV: SVC 144/144 best 0.9731, 2 failed in 0:00"
    assert [line.strip() for line in shown.lines] == ["False", wrapped[:30], wrapped[30:].strip()]


def test_no_color_is_respected(terminal):
    """With NO_COLOR the rest of the bar is blank, and nothing is coloured."""
    shown = terminal(PLAIN, env={"NO_COLOR": "1"}).end()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown.text)
    assert re.search("━ {5,}", shown.text)


def test_a_terminal_without_unicode_gets_ascii(terminal):
    """Where the stream cannot take the bar's sign it is a hyphen."""
    shown = terminal(PLAIN, env={"PYTHONIOENCODING": "ascii"}).end()
    assert "----" in shown.text and shown.text.isascii()


def test_a_short_search_shows_nothing(terminal):
    """Below half a second there is neither a bar nor a last line, and rich is not imported."""
    shown = terminal(
        """
        bar = open_progress("GridSearchCV: SVC", "auto")
        for done in range(144):
            bar.update(done, 144, 0.9, 0)
        bar.close()
        print(any(name.startswith("rich") for name in sys.modules), "write" in vars(sys.stdout))
        """
    ).end()
    assert shown.text.split() == ["False", "False"]


def test_what_the_user_prints_stays_whole(terminal):
    """Lines, warnings and lines in pieces come out as they were, and nothing is left of the bar."""
    shown = terminal(
        """
        import warnings
        print("the search begins:", end=" ", flush=True)
        stdout = sys.stdout
        bar = open_progress("GridSearchCV: SVC", "auto")
        worker = advance(bar, 1.0)
        for number in range(12):
            time.sleep(0.1)
            if number % 2:
                print("line", number)
                print("and its second", number, file=sys.stderr)
            elif number > 6:
                sys.stdout.writelines(["a", "b"])
                sys.stdout.flush()
                time.sleep(0.15)
                print("c")
        assert sys.stdout is stdout
        worker.join()
        bar.update(144, 144, None, 0)
        bar.close()
        print("in pieces,", end=" ")
        print("as before", "write" in vars(sys.stdout))
        """
    ).end()
    expected = ["the search begins: line 1", "and its second 1"]
    for number in range(3, 12):
        if number % 2:
            expected += [f"line {number}", f"and its second {number}"]
        elif number > 6:
            expected.append("abc")
    expected += ["GridSearchCV: SVC 144/144 in 0:01", "in pieces, as before False"]
    assert shown.lines == expected


def test_a_line_begun_before_the_search_stays(terminal):
    """The bar does not overwrite what stands on the line where the cursor is."""
    shown = terminal("print('training...', end=' ', flush=True)" + PLAIN).end()
    assert shown.lines[0] == "training..." and shown.lines[1] == "False"


def test_lines_of_workers_cover_the_bar(terminal):
    """Other processes print at the cursor, over the bar; scikit-learn's lines are as wide."""
    shown = terminal(
        """
        bar = open_progress("GridSearchCV: SVC", "auto")
        worker = advance(bar, 1.0)
        for number in range(4):
            time.sleep(0.3)
            os.system(f"echo '[CV 1/5] END C={number};{66 * '.'}'")
        worker.join()
        bar.close()
        """
    ).end()
    assert [line[:16] for line in shown.lines[:4]] == [f"[CV 1/5] END C={n}" for n in range(4)]
    assert not [line for line in shown.lines[:4] if "━" in line or "/144" in line]


def test_output_elsewhere_is_untouched(terminal, tmp_path):
    """When stdout is a file nothing of the bar goes there."""
    with (tmp_path / "out.txt").open("w") as file:
        shown = terminal(PLAIN, stdout=file).end()
    assert (tmp_path / "out.txt").read_text() == "False\n"
    assert len(shown.lines) == 1


def test_a_second_search_shows_nothing(terminal):
    """There is one line: that of the outermost search; the next search has it again."""
    shown = terminal(
        """
        import threading
        bar = open_progress("outer", "auto")
        inner = open_progress("inner", True)
        others = []
        thread = threading.Thread(target=lambda: others.append(open_progress("thread", "auto")))
        thread.start(); thread.join()
        assert type(inner) is type(others[0]) is Progress
        inner.close(); others[0].close()
        bar.close(); bar.close()
        again = open_progress("again", True)
        assert type(again) is not Progress
        again.update(1, 1, 0.5, 0)
        again.close()
        """
    ).end()
    assert shown.lines == ["again 1/1 best 0.5 in 0:00"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_search_leaves_a_usable_terminal(terminal, number):
    """After Ctrl-C a line says so; even a killed process has hidden no cursor."""
    shown = terminal(
        """
        bar = open_progress("GridSearchCV: SVC", "auto")
        advance(bar, 0.2)
        try:
            time.sleep(20)
        except KeyboardInterrupt as error:
            bar.close(error)
            print("write" in vars(sys.stderr))
        """
    )
    shown.wait_for("/144")
    time.sleep(0.3)
    shown.process.send_signal(number)
    shown.end(-number if number == signal.SIGKILL else 0)
    assert not re.search(r"\x1b\[\?", shown.text)
    if number == signal.SIGINT:
        last, said = shown.lines
        assert re.fullmatch(
            r"GridSearchCV: SVC \d+/144 best 0.9731 in 0:0\d, stopped by KeyboardInterrupt", last
        )
        assert said == "False"


@pytest.mark.parametrize(
    "other",
    [
        "from rich.progress import Progress as P\nlive = P()\nlive.start()",
        "from rich.console import Console\nfrom rich.live import Live\n"
        "live = Live('theirs', console=Console(stderr=True))\nlive.start()",
        "from tqdm import tqdm\nlive = tqdm(total=3)\nlive.stop = live.close",
    ],
    ids=["rich", "rich on stderr", "tqdm"],
)
def test_the_users_own_bar_has_the_terminal(terminal, other):
    """Where a bar of the user's is on, ours is not, whenever theirs began."""
    if "tqdm" in other:
        pytest.importorskip("tqdm")
    for before, after in ((other, ""), ("", other)):
        code = (
            before + "\nbar = open_progress('GridSearchCV: SVC', 'auto')\n" + after + "\n"
            "if type(bar) is not Progress: advance(bar).join()\n"
            "live.stop()\nbar.close()\n"
        )
        shown = terminal(code).end()
        # In the second order ours was there first, so it leaves its last line when theirs is gone.
        assert shown.text.count("GridSearchCV") == bool(after)


def test_a_forked_child_does_not_draw(terminal):
    """A child prints as always, shows nothing of its own, and the parent's bar goes on."""
    shown = terminal(
        """
        bar = open_progress("GridSearchCV: SVC", "auto")
        worker = advance(bar, 0.8)
        time.sleep(0.7)
        pid = os.fork()
        if pid == 0:
            assert "write" not in vars(sys.stdout)
            bar.update(1, 2, 3.0, 4)
            bar.close()
            assert type(open_progress("child", True)) is Progress
            os._exit(3)
        assert os.waitpid(pid, 0)[1] == 3 << 8
        worker.join()
        bar.update(144, 144, 0.9, 0)
        bar.close()
        """
    ).end()
    assert shown.lines == ["GridSearchCV: SVC 144/144 best 0.9 in 0:01"]


@pytest.mark.parametrize(
    "env", [{"TERM": "dumb"}, {"CI": "true"}, {"TTY_COMPATIBLE": "0"}], ids=str
)
def test_auto_is_silent_where_nobody_looks(terminal, env):
    """A dumb terminal and that of an automatic build get nothing."""
    code = PLAIN.replace("advance(bar).join()", "getattr(bar, '_state', 0) and advance(bar).join()")
    assert terminal(code, env=env).end().lines == ["False"]


def test_true_writes_lines_where_there_is_no_bar(terminal, run_python):
    """A dumb terminal gets the last line, a pipe too, and now and then one in between."""
    code = PLAIN.replace('"auto"', "True")
    shown = terminal(code, env={"TERM": "dumb"}).end()
    assert shown.text.count("\x1b") == 0 and shown.lines[-1].startswith("GridSearchCV: SVC 144/144")
    process = run_python(PREAMBLE + code + "print('rich' in sys.modules)")
    assert process.stderr == "GridSearchCV: SVC 144/144 best 0.9731, 2 failed in 0:00\n"
    assert process.stdout.split() == ["False", "False"]


def test_true_writes_few_lines(monkeypatch):
    """A long search writes a line every five seconds, later one every twentieth of its time."""
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = open_progress("GridSearchCV: SVC", True)
    bar._state.began = bar._drawn_at = 100.0
    for second in range(8 * 3600):
        clock[0] = 100.0 + second
        bar.update(second, 8 * 3600, 0.5, 0)
    bar.close(ValueError("no"))
    lines = sys.stderr.getvalue().splitlines()
    assert 20 < len(lines) < 200
    assert lines[0] == "GridSearchCV: SVC 5/28800 best 0.5 in 0:05, 7:59:55 left"
    assert lines[-1] == "GridSearchCV: SVC 28799/28800 best 0.5 in 7:59:59, stopped by ValueError"


@pytest.mark.parametrize("mode", ["auto", False])
def test_a_pipe_gets_nothing(run_python, mode):
    """Without a terminal, and when it is switched off, nothing is written or imported."""
    process = run_python(
        f"""
        import sys
        from skledger.ledger.progress import Progress, open_progress
        bar = open_progress("GridSearchCV: SVC", {mode!r})
        assert type(bar) is Progress
        bar.update(1, 2, 0.5, 0)
        bar.close(ValueError())
        assert "rich" not in sys.modules
        """,
        env={"FORCE_COLOR": "1"},
    )
    assert process.stderr == ""


@pytest.mark.parametrize("mode", ["auto", True])
@pytest.mark.parametrize("stream", [None, "closed"])
def test_without_stderr_nothing_is_shown(monkeypatch, mode, stream):
    """A process without a stderr, or with a closed one, is no error."""
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    assert type(open_progress("GridSearchCV: SVC", mode)) is Progress


@pytest.mark.parametrize("fails", ["update", "close"])
def test_a_stream_that_breaks_costs_the_bar_only(monkeypatch, swallowed, fails):
    """What fails is one log line; the bar is given up, and the next search may have one."""

    class Broken(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Broken())
    bar = open_progress("GridSearchCV: SVC", True)
    if fails == "update":
        bar._state.began -= 100
        bar._drawn_at -= 100
        bar.update(1, 2, 0.5, 0)
        bar.update(2, 2, 0.5, 0)
    bar.close()
    assert [type(error) for error in swallowed] == [OSError]
    swallowed.clear()
    again = open_progress("again", True)
    assert type(again) is not Progress
    again.closed = False
    monkeypatch.setattr(again, "_screen", screens.Screen())
    again.close()


def test_a_notebook_has_one_output(tmp_path):
    """The cell that searches has one output, which is replaced, and no line a step."""
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    search = (
        "bar = open_progress('GridSearchCV: <SVC>', 'auto')\n"
        "advance(bar, 1.0).join()\n"
        "bar.update(144, 144, 0.9731, 1)\n"
        "bar.close()"
    )
    cells = [PREAMBLE, search, search]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(
        notebook, timeout=100, resources={"metadata": {"path": tmp_path}}
    ).execute()
    last = "GridSearchCV: <SVC> 144/144 best 0.9731, 1 failed in 0:01"
    for cell in notebook.cells[1:]:
        (output,) = cell.outputs
        assert output["data"]["text/plain"] == last
        assert output["data"]["text/html"] == f"<div>{last.replace('<SVC>', '&lt;SVC&gt;')}</div>"


def test_an_update_costs_microseconds(monkeypatch):
    """What is not drawn costs next to nothing, and so does a bar that is switched off."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = open_progress("GridSearchCV: SVC", True)
    off = open_progress("GridSearchCV: SVC", False)
    for each in (bar, off):
        began = time.perf_counter()
        for _ in range(1000):
            each.update(1, 2, 0.5, 0)
        assert time.perf_counter() - began < 0.1
    bar.close()
