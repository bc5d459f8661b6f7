"""Who runs what: user, program, git commit, versions and process, found without waiting."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from skledger._exit import at_exit
from skledger._guard import contain
from skledger.tracking.git import Checkout, ask_git, find_checkout
from skledger.tracking.processes import identity_of

__all__ = [
    "COMMIT_TAG",
    "USER_TAG",
    "default_tags",
    "in_notebook",
    "look_around",
    "process_identity",
    "user_name",
    "when_known",
]

USER_TAG = "mlflow.user"
COMMIT_TAG = "mlflow.source.git.commit"
BRANCH_TAG = "mlflow.source.git.branch"
REMOTE_TAG = "mlflow.source.git.repoURL"
DIRTY_TAG = "mlflow.source.git.dirty"
PYTHON_TAG = "skledger.python"
#: The tags that tell which version of a package is imported, if it is.
PACKAGE_TAGS = {"sklearn": "skledger.sklearn", "numpy": "skledger.numpy"}

#: A notebook is edited while its kernel lives: what git says is read again after so many seconds.
_FRESH = 60.0
#: How long the end of the process waits for git, in seconds, when a run lacks its answer.
_AT_THE_END = 0.5
_NOTEBOOK, _LOCAL = "NOTEBOOK", "LOCAL"
#: What VS Code and JupyterLab put behind the name of a notebook.
_AFTER_NAME = r"(?s)(?:-jvsc-[0-9a-f-]+)?\.ipynb.*"


@functools.cache
def user_name() -> str:
    """Return the login name, or ``unknown`` where the system has none."""
    try:
        return getpass.getuser()
    except Exception:  # noqa: BLE001 - containers without a passwd entry raise various types
        return "unknown"


def default_tags(*, brief: bool = False) -> dict[str, str]:
    """Return the tags about where a run comes from: MLflow's where it has some.

    Parameters
    ----------
    brief : bool, default=False
        Only user, source and commit: enough of what belongs to a run that has the rest.

    Returns
    -------
    dict
        ``mlflow.user``, ``mlflow.source.name``, ``mlflow.source.type`` (``LOCAL`` or
        ``NOTEBOOK``); inside a git repository ``mlflow.source.git.commit``, ``.branch``,
        ``.repoURL`` and, as soon as it is known, ``.dirty`` (``true`` or ``false``);
        ``skledger.python``, and ``skledger.sklearn`` and ``skledger.numpy`` when these are
        imported: their versions.
    """
    origin = _current_origin()
    if brief:
        return dict(origin.brief_tags)
    tags = dict(origin.tags)
    for name, tag in PACKAGE_TAGS.items():
        module = sys.modules.get(name)
        if module is not None:
            version = getattr(module, "__version__", None)
            if isinstance(version, str):  # one that is just being imported has none yet
                tags[tag] = version
    return tags


def when_known(tags: Mapping[str, str], tell: Callable[[dict[str, str]], None]) -> None:
    """Complete what `default_tags` told of a run, as soon as git has answered.

    Parameters
    ----------
    tags : mapping
        The tags that the run has.
    tell : callable
        Called with the tag that says whether files were changed, in another thread; never when
        the run has it, or nobody will ever know.
    """
    if COMMIT_TAG in tags and DIRTY_TAG not in tags:
        _current_origin().when_known(tags[COMMIT_TAG], tell)


def look_around() -> None:
    """Find out what `default_tags` will tell, and ask git in the background what takes longer."""
    _current_origin()


class _Origin:
    """Where the runs of this process come from.

    Attributes
    ----------
    tags, brief_tags : dict
        What is known by now; replaced, never changed.
    """

    def __init__(self, source: str, kind: str, program: str | None, folder: str) -> None:
        self.brief_tags = {
            USER_TAG: user_name(),
            "mlflow.source.name": source,
            "mlflow.source.type": kind,
        }
        self._program, self._folder, self._kind = program, folder, kind
        self._dirty: tuple[str | None, str] | None = None
        self._asked_in: int | None = None
        self._thread: threading.Thread | None = None
        self._waiting: list[tuple[str, Callable[[dict[str, str]], None]]] = []
        self._lock = threading.Lock()
        self._read()

    def renew(self) -> None:
        """Look again where it is time to, and ask again in a forked child that got no answer."""
        if self._kind == _NOTEBOOK and time.monotonic() - self._read_at > _FRESH:
            self._read()
        elif self._asked_in not in (None, os.getpid()):
            self._ask()

    def when_known(self, commit: str, tell: Callable[[dict[str, str]], None]) -> None:
        """Call `tell` with the tag about changed files, once git has said so of this commit."""
        with self._lock:
            if self._dirty is None:
                if self._asked_in == os.getpid():
                    self._waiting.append((commit, tell))
                    at_exit("git", self._wait)
                return
        self._tell_late(commit, tell)

    def _tell_late(self, commit: str, tell: Callable[[dict[str, str]], None]) -> None:
        if self._dirty is not None and self._dirty[0] == commit:
            with contain("the tag about changed files"):
                tell({DIRTY_TAG: self._dirty[1]})

    def _wait(self) -> None:
        """Let git answer before the process ends, if it is about to."""
        if self._waiting and self._thread is not None and self._asked_in == os.getpid():
            self._thread.join(_AT_THE_END)

    def _read(self) -> None:
        self._read_at = time.monotonic()
        self._checkout = find_checkout(Path(self._folder))
        self._tell(self._checkout)
        if self._checkout is not None:
            self._ask()

    def _tell(self, checkout: Checkout | None) -> None:
        tags = dict(self.brief_tags)
        tags.pop(COMMIT_TAG, None)
        if checkout is not None and checkout.commit is not None:
            tags[COMMIT_TAG] = checkout.commit
        self.brief_tags = tags
        tags = tags | {PYTHON_TAG: platform.python_version()}
        if checkout is not None:
            known = {BRANCH_TAG: checkout.branch, REMOTE_TAG: checkout.remote}
            tags |= {key: value for key, value in known.items() if value}
            # What was found out about another commit is no more true.
            if self._dirty is not None and self._dirty[0] == checkout.commit:
                tags[DIRTY_TAG] = self._dirty[1]
        self.tags = tags

    def _ask(self) -> None:
        self._asked_in = os.getpid()
        self._waiting = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._answer, name="skledger-git", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, or there are too many threads
            pass

    def _answer(self) -> None:
        checkout = self._checkout
        if checkout is None:
            return
        try:
            status = ask_git(checkout.root, self._program)
        except Exception:  # noqa: BLE001 - the interpreter may be going down around this thread
            return
        if status is not None:
            # Git also reads what is not read here, such as references in a table.
            commit, branch = checkout.commit or status.commit, checkout.branch or status.branch
            if status.commit == commit:
                self._dirty = commit, str(status.dirty).lower()
            self._tell(Checkout(checkout.root, commit, branch, checkout.remote))
        with self._lock:
            self._asked_in = None
            waiting, self._waiting = self._waiting, []
        for commit_of_run, tell in waiting:
            self._tell_late(commit_of_run, tell)


_origins: dict[tuple[str, str, str], _Origin] = {}


def _current_origin() -> _Origin:
    kind, argument = _LOCAL, sys.argv[0] if sys.argv else ""
    folder = ""
    if in_notebook():
        kind, argument = _NOTEBOOK, _notebook()
    if kind == _NOTEBOOK or not argument.endswith(".py"):
        folder = _current_folder()
    key = kind, argument, folder
    origin = _origins.get(key)
    if origin is None:
        origin = _origins[key] = _find_origin(*key)
    else:
        origin.renew()
    return origin


def _find_origin(kind: str, argument: str, current: str) -> _Origin:
    """Return where a program comes from: the repository around its file, else the current one."""
    program = None
    if kind == _NOTEBOOK:
        program = argument if Path(argument).is_file() else None
    elif argument.endswith(".py"):
        # The current folder may have changed since Python found the program there.
        main = getattr(sys.modules.get("__main__"), "__file__", None) or argument
        same = Path(main).name == Path(argument).name
        program = str(main) if same else argument
    folder = current
    try:
        if program is not None:
            program = str(Path(program).resolve())
            folder = str(Path(program).parent)
        source = argument or ("notebook" if kind == _NOTEBOOK else "<interactive>")
        # Bytes that are no text in this locale are escaped: a store keeps text.
        source = source.encode("utf-8", "backslashreplace").decode()
        return _Origin(source, kind, program, folder)
    except (OSError, ValueError):  # the current folder may be gone
        return _Origin(argument or "<interactive>", kind, None, os.devnull)


def _current_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - hot
    except OSError:
        return os.devnull


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook; nothing is imported for it.

    Programs import ``ipykernel`` for its widgets or its messages, and are no kernels.
    """
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_shell is not None and getattr(get_shell(), "kernel", None) is not None


def _notebook() -> str:
    """Return the file of the notebook, as far as the program that shows it has told."""
    main = vars(sys.modules.get("__main__", sys))
    for told in (
        main.get("__vsc_ipynb_file__"),
        os.environ.get("IPYNB_FILE"),
        os.environ.get("JPY_SESSION_NAME"),
        main.get("PAPERMILL_INPUT_PATH"),  # papermill --inject-paths
    ):
        if told:
            return re.sub(_AFTER_NAME, ".ipynb", str(told))
    return ""


def process_identity() -> str:
    """Return ``host/pid/start`` of this process, to tell later whether it is still alive.

    See `skledger.tracking.processes.identity_of` for its parts.
    """
    return _process_identity(os.getpid())


@functools.lru_cache(maxsize=4)
def _process_identity(pid: int) -> str:
    # A forked child has another number; what was found for the parent is not its own.
    return identity_of(pid)
