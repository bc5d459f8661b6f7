"""Where a run comes from: user, program, git, versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

import skledger
from skledger.tracking import context
from skledger.tracking.addresses import without_credentials
from skledger.tracking.git import ask_git, find_checkout

COMMIT, BRANCH = "mlflow.source.git.commit", "mlflow.source.git.branch"
REMOTE, DIRTY = "mlflow.source.git.repoURL", "mlflow.source.git.dirty"
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _own_git(monkeypatch):
    """No configuration of the machine's, and nothing known from the test before."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(context, "_origins", {})


def git(folder, *arguments):
    command = ["git", "-C", str(folder), "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit on the branch `trunk`; returns its folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "train.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def run_script(folder, text, *, name="train.py", cwd=None):
    """Run a script that prints JSON; return what it printed."""
    (folder / name).write_text(text)
    return start(folder / name, cwd or folder)


def start(script, cwd):
    done = subprocess.run(
        [sys.executable, str(script)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TAGS = """
import json, time
from skledger.tracking.context import default_tags
tags = default_tags()
end = time.time() + 10
while "mlflow.source.git.dirty" not in tags and time.time() < end:
    time.sleep(0.01)
    tags = default_tags()
print(json.dumps(tags))
"""


def test_a_run_says_where_it_comes_from():
    """User, program, type of program, Python and packages are tags of every run."""
    import numpy
    import sklearn

    with skledger.start_run() as run:
        pass
    tags = run.data.tags
    assert tags["mlflow.user"] == context.user_name()
    assert tags["mlflow.source.name"] == sys.argv[0]
    assert tags["mlflow.source.type"] == "LOCAL"
    assert tags["skledger.python"] == platform.python_version()
    assert tags["skledger.sklearn"] == sklearn.__version__
    assert tags["skledger.numpy"] == numpy.__version__
    assert COMMIT not in tags  # the test's folder is under no git


def test_packages_that_are_not_imported_are_not_named(run_python):
    """Nothing is imported, or looked up, to know its version; what comes later is named later."""
    run_python(
        """
        import sys
        from skledger.tracking.context import default_tags
        assert "skledger.sklearn" not in default_tags()
        assert "sklearn" not in sys.modules
        import sklearn
        assert default_tags()["skledger.sklearn"] == sklearn.__version__
        """
    )


def test_commit_branch_and_remote_of_the_scripts_repository(repository, tmp_path):
    """They are those around the script, wherever it was started, without the remote's token."""
    git(repository, "remote", "add", "origin", "https://me:t0ken@example.org/a/b.git?x=1")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    tags = run_script(repository, TAGS, cwd=elsewhere)
    assert tags[COMMIT] == git(repository, "rev-parse", "HEAD")
    assert tags[BRANCH] == "trunk"
    assert tags[REMOTE] == "https://example.org/a/b.git"
    assert tags["mlflow.source.name"] == str(repository / "train.py")


def test_a_script_outside_of_git_has_no_commit(repository, tmp_path):
    """The repository of the current folder is not that of a script from elsewhere."""
    (tmp_path / "other.py").write_text(TAGS.replace("+ 10", "+ 0.1"))
    tags = start(tmp_path / "other.py", repository)
    assert not {COMMIT, BRANCH, REMOTE, DIRTY} & set(tags)


def test_changed_files_make_it_dirty(repository):
    """The flag is true when a file of the commit was changed, and false when none was."""
    (repository / "show.py").write_text(TAGS)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "two")
    (repository / "unknown.txt").write_text("git does not know me, and need not")
    assert start(repository / "show.py", repository)[DIRTY] == "false"
    (repository / "train.py").write_text("x = 2\n")
    assert start(repository / "show.py", repository)[DIRTY] == "true"


def test_a_script_that_was_never_committed_makes_it_dirty(repository):
    """No commit holds it, so none tells what ran."""
    assert run_script(repository, TAGS, name="new.py")[DIRTY] == "true"


def test_a_script_called_by_a_relative_path_after_a_change_of_folder(repository, tmp_path):
    """The script's folder is found, though the current one is another by the time of the run."""
    text = f"import os\nos.chdir({str(tmp_path)!r})\n{TAGS}"
    (repository / "moves.py").write_text(text)
    tags = start("moves.py", repository)
    assert tags[COMMIT] == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("state", ["packed", "detached", "worktree", "submodule", "symbolic"])
def test_every_layout_of_git_is_read(repository, tmp_path, state):
    """Packed references, a detached HEAD, worktrees, submodules, references to references."""
    folder, branch = repository, "trunk"
    if state == "packed":
        git(repository, "pack-refs", "--all")
        assert not (repository / ".git" / "refs" / "heads" / "trunk").exists()
    elif state == "detached":
        git(repository, "checkout", "-q", "--detach")
        branch = None
    elif state == "worktree":
        folder, branch = tmp_path / "tree", "side/way"
        git(repository, "worktree", "add", "-q", "-b", branch, str(folder))
    elif state == "submodule":
        outer = tmp_path / "outer"
        outer.mkdir()
        git(outer, "init", "-q")
        git(outer, "submodule", "--quiet", "add", str(repository), "inner")
        folder = outer / "inner"
        git(folder, "checkout", "-q", "trunk")
    else:
        git(repository, "symbolic-ref", "refs/heads/alias", "refs/heads/trunk")
        git(repository, "symbolic-ref", "HEAD", "refs/heads/alias")
        branch = "alias"
    (folder / "deep" / "er").mkdir(parents=True)
    found = find_checkout(folder / "deep" / "er")
    assert found is not None
    assert (found.commit, found.branch) == (git(repository, "rev-parse", "trunk"), branch)
    assert found.root == str(folder)


def test_before_the_first_commit(tmp_path):
    """A new repository has a branch and no commit, and a run in it is booked like any other."""
    git(tmp_path, "init", "-q", "-b", "first")
    found = find_checkout(tmp_path)
    assert (found.commit, found.branch, found.remote) == (None, "first", None)
    tags = run_script(tmp_path, TAGS.replace("+ 10", "+ 0.5"))
    assert COMMIT not in tags
    assert tags[BRANCH] == "first"


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"ref: ", b"ref: ../../../x", b"gitdir: /no"]
)
def test_what_git_left_broken_is_no_repository_or_has_no_commit(tmp_path, content):
    """A damaged repository is no reason for anything but a missing tag."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_bytes(content)
    found = find_checkout(tmp_path)
    assert found is None or found.commit is None
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".git").write_bytes(content)
    assert (find_checkout(tmp_path / "sub") or found).root == str(tmp_path)


def test_the_remote_of_the_branch(repository):
    """The remote that the branch follows counts, else origin, else the only one."""
    git(repository, "remote", "add", "mine", "git@example.org:me/b.git")
    assert find_checkout(repository).remote == "git@example.org:me/b.git"
    git(repository, "remote", "add", "origin", "ssh://git:pw@example.org:22/a/b.git")
    assert find_checkout(repository).remote == "ssh://git@example.org:22/a/b.git"
    git(repository, "config", "branch.trunk.remote", "mine")
    assert find_checkout(repository).remote == "git@example.org:me/b.git"


def test_asking_git_changes_nothing_and_survives_its_absence(repository, monkeypatch):
    """The index is not rewritten; without git, or with one that fails, nothing is known."""
    index = repository / ".git" / "index"
    os.utime(repository / "train.py")
    before = index.read_bytes()
    assert ask_git(str(repository)).dirty is False
    assert index.read_bytes() == before
    assert ask_git(str(repository.parent)) is None
    monkeypatch.setenv("PATH", "")
    assert ask_git(str(repository)) is None


def test_git_is_never_waited_for(repository, tmp_path):
    """A git that takes long holds up neither autolog(), nor a fit, nor the end of the process."""
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "git").write_text("#!/bin/sh\nexec sleep 20\n")
    (slow / "git").chmod(0o755)
    (repository / "slow.py").write_text(
        "import skledger, sys, json\n"
        "skledger.autolog()\n"
        "from sklearn.linear_model import Ridge\n"
        "Ridge().fit([[1.0], [2.0]], [1.0, 2.0])\n"
        "print(json.dumps(skledger.last_active_run().data.tags))\n"
    )
    start_time = time.monotonic()
    done = subprocess.run(
        [sys.executable, "slow.py"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PATH": f"{slow}{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert time.monotonic() - start_time < 18
    tags = json.loads(done.stdout)
    assert tags[COMMIT] == git(repository, "rev-parse", "HEAD")
    assert DIRTY not in tags


def test_the_tags_cost_microseconds(repository):
    """The first call reads some files; every further one costs next to nothing."""
    took = run_script(
        repository,
        """
import json, time
from skledger.tracking.context import default_tags
begun = time.perf_counter()
default_tags()
first = time.perf_counter() - begun
rounds = []
for _ in range(5):
    begun = time.perf_counter()
    for _ in range(200):
        default_tags()
    rounds.append((time.perf_counter() - begun) / 200)
print(json.dumps([first, min(rounds)]))
""",
    )
    # A tenth of that on a machine that has nothing else to do.
    assert took[0] < 0.03
    assert took[1] < 50e-6


def test_children_and_models_have_the_short_form(repository):
    """The candidates of a search name user, program and commit; the rest is in its run."""
    tags = run_script(
        repository,
        """
import json, skledger
skledger.autolog()
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
X, y = [[float(i)] for i in range(9)], [float(i % 4) for i in range(9)]
GridSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, cv=3).fit(X, y)
skledger.flush()
runs = skledger.search_runs(output_format="list")
print(json.dumps([run.data.tags for run in runs]))
""",
    )
    (search,) = [each for each in tags if "mlflow.parentRunId" not in each]
    assert {COMMIT, BRANCH, "skledger.python", "skledger.sklearn"} <= set(search)
    children = [each for each in tags if "mlflow.parentRunId" in each]
    assert len(children) == 2
    for child in children:
        assert child[COMMIT] == search[COMMIT]
        assert not {BRANCH, "skledger.python"} & set(child)


def test_a_forked_child_asks_for_itself(repository):
    """What the parent did not know yet at the fork is found out by the child."""
    tags = run_script(
        repository,
        """
import json, os, sys, time
from skledger.tracking import context, git
answer = git.ask_git
context.ask_git = lambda *args: time.sleep(30)
context.look_around()
context.ask_git = answer
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
    os._exit(0)
end = time.time() + 10
while "mlflow.source.git.dirty" not in context.default_tags() and time.time() < end:
    time.sleep(0.01)
print(json.dumps(context.default_tags()), flush=True)
os._exit(0)
""",
    )
    assert tags[DIRTY] == "true"


class TestNotebooks:
    """In a kernel the source is the notebook."""

    @pytest.fixture(autouse=True)
    def _kernel(self, monkeypatch):
        shell = SimpleNamespace(kernel=object())
        ipython = SimpleNamespace(get_ipython=lambda: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        for name in ("JPY_SESSION_NAME", "IPYNB_FILE"):
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize(
        "told", ["{}", "{}-0f6a3b2c-55a1", "{0.parent}/nb-jvsc-77f0-4a.ipynb"], ids=str
    )
    def test_the_server_tells_the_file(self, repository, monkeypatch, told):
        """With what JupyterLab and VS Code put behind its name taken off."""
        notebook = repository / "nb.ipynb"
        notebook.write_text("{}")
        monkeypatch.setenv("JPY_SESSION_NAME", told.format(notebook))
        tags = context.default_tags()
        assert tags["mlflow.source.name"] == str(notebook)
        assert tags["mlflow.source.type"] == "NOTEBOOK"
        assert tags[COMMIT] == git(repository, "rev-parse", "HEAD")

    def test_unknown_it_is_a_notebook_in_the_current_folder(self, repository, monkeypatch):
        """The name is `notebook`, the commit that of the current folder."""
        monkeypatch.chdir(repository)
        tags = context.default_tags()
        assert tags["mlflow.source.name"] == "notebook"
        assert tags[COMMIT] == git(repository, "rev-parse", "HEAD")

    def test_a_kernel_lives_longer_than_a_commit(self, repository, monkeypatch):
        """What git says is read again from time to time; an old flag is not kept for a new one."""
        monkeypatch.chdir(repository)
        first = git(repository, "rev-parse", "HEAD")
        wait_for(lambda: context.default_tags().get(DIRTY) == "false")
        (repository / "train.py").write_text("x = 3\n")
        assert context.default_tags()[DIRTY] == "false"
        monkeypatch.setattr(context, "_FRESH", 0.0)
        wait_for(lambda: context.default_tags()[DIRTY] == "true")
        git(repository, "commit", "-q", "-a", "-m", "two")
        assert context.default_tags()[COMMIT] == git(repository, "rev-parse", "HEAD") != first
        wait_for(lambda: context.default_tags().get(DIRTY) == "false")


@pytest.mark.parametrize("shell", [None, SimpleNamespace()], ids=["none", "terminal"])
def test_a_program_that_imports_a_kernel_is_none(monkeypatch, shell):
    """Neither ``import ipykernel`` nor IPython on a terminal makes a notebook of it."""
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert context.default_tags()["mlflow.source.type"] == "LOCAL"


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_current_folder_that_is_gone(tmp_path, monkeypatch):
    """A removed folder costs nothing but the commit."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    tags = context.default_tags()
    assert tags["mlflow.user"] == context.user_name()
    assert COMMIT not in tags
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("sqlite:////a/b@c.db", "sqlite:////a/b@c.db"),
        ("memory:", "memory:"),
        ("/plain/mlruns", "/plain/mlruns"),
        ("file:///a/b", "file:///a/b"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://me:pw@host:8443/x", "https://host:8443/x"),
        ("https://token@host/x?key=1#y", "https://host/x"),
        ("postgresql+psycopg://u:p@host:5432/db?password=x", "postgresql+psycopg://host:5432/db"),
        ("postgresql://u:a/b@host/db", "postgresql://host/db"),
        ("mysql://u:a?b#c@host:3306/db", "mysql://host:3306/db"),
        ("postgresql://u:p@w@host/db", "postgresql://host/db"),
        ("http://[::1]:5000/x", "http://[::1]:5000/x"),
        ("git@github.com:org/x.git", "git@github.com:org/x.git"),
        ("ssh://git@github.com/org/x.git", "ssh://git@github.com/org/x.git"),
        ("s3://bucket/key", "s3://bucket/key"),
    ],
)
def test_addresses_are_shown_without_credentials(address, shown):
    """Neither passwords nor tokens of an address ever get into a tag or a message."""
    assert without_credentials(address) == shown


@pytest.mark.parametrize(
    "work",
    [
        "with skledger.start_run(): pass",
        "from sklearn.dummy import DummyClassifier\n"
        "skledger.autolog()\nDummyClassifier().fit([[1], [2]], [0, 1])",
    ],
    ids=["run", "fit"],
)
def test_the_only_run_of_a_script_knows_that_files_were_changed(repository, work):
    """Git answers after the run was booked, and the answer is added to it."""
    (repository / "short.py").write_text(f"import skledger\n{work}\nprint('[]')\n")
    start(repository / "short.py", repository)
    skledger.set_tracking_uri(f"sqlite:///{repository / 'skledger.db'}")
    (run,) = skledger.search_runs(output_format="list")
    assert run.data.tags[DIRTY] == "true"
    assert run.info.status == "FINISHED"
