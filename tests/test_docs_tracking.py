"""The documents on tracking: their examples run, and they name all that there is."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import re
from pathlib import Path

import pytest

import skledger
from skledger.utils import mlflow_tags

ROOT = Path(__file__).parent.parent
DOCS = ("tracking", "stores", "search", "models")
#: ``expression  # -> value``; a value that goes on over lines has its arrow on the last one.
ARROW = re.compile(r"\s+# -> (?P<value>.+)$")
#: Environment variables are upper case, with a prefix of ours or of MLflow's.
VARIABLE = re.compile(r"(?:SKLEDGER|MLFLOW)_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_]|\.\.\.)")


def text_of(name):
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def blocks_of(text):
    """Return the code blocks of a document: language, content and what stands before it."""
    pattern = re.compile(r"(?P<before>[^\n]*)\n+```(?P<kind>\w*)\n(?P<code>.*?)```", re.DOTALL)
    return [(m["kind"], m["code"], m["before"]) for m in pattern.finditer(text)]


def programs_of(text):
    """Return the Python blocks, each with the output that the document shows right below it."""
    found = blocks_of(text)
    programs = []
    for at, (kind, code, _) in enumerate(found):
        if kind != "python":
            continue
        below = found[at + 1] if at + 1 < len(found) else ("", "", "more")
        shown = below[1] if below[0] == "text" and below[2] in ("", "```") else None
        programs.append((code, shown))
    return programs


def run_block(code, namespace):
    """Run a block; compare each expression that has an arrow with the value behind it."""
    expected = {
        number: match["value"]
        for number, line in enumerate(code.splitlines(), 1)
        if (match := ARROW.search(line))
    }
    for statement in ast.parse(code).body:
        value = expected.pop(statement.end_lineno, None)
        source = ast.unparse(statement)
        if value is None:
            exec(source, namespace)
        else:
            assert isinstance(statement, ast.Expr), f"an arrow behind what has no value: {source}"
            assert repr(eval(source, namespace)) == value, source
    assert not expected, f"arrows in the middle of something: {expected}"


@pytest.mark.parametrize("name", DOCS)
def test_the_examples_do_what_they_say(name):
    """Every Python block runs, in order, in an empty folder on the default store."""
    programs = programs_of(text_of(name))
    assert programs
    namespace = {"__name__": f"docs_{name}"}
    for code, shown in programs:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            run_block(code, namespace)
        if shown is not None:
            assert output.getvalue().strip() == shown.strip()


def variables_in_code():
    """Return the environment variables that the package reads, and where."""
    found = {}
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            for name in _named_in(node):
                found.setdefault(name, path.name)
    return found


def _named_in(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from VARIABLE.findall(node.value)
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        names = [each.value for each in node.args[:1] if isinstance(each, ast.Constant)]
        if called in ("os.environ.get", "os.getenv"):
            yield from names
        elif called in ("_setting", "_switch"):  # either prefix, put before it when it is read
            for name in names:
                yield from (f"SKLEDGER_{name}", f"MLFLOW_{name}")
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
        if isinstance(node.slice, ast.Constant):
            yield node.slice.value


def test_every_environment_variable_is_documented():
    """Whatever the package reads from the environment is in the table of docs/tracking.md."""
    section = text_of("tracking").split("\n## Environment variables\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", section))
    found = variables_in_code()
    # Names of constants that MLflow has, too: they hold the keys of tags.
    constants = set(mlflow_tags.__all__)
    missing = {name: place for name, place in found.items() if name not in documented | constants}
    assert not missing
    gone = {name for name in documented if name.startswith(("SKLEDGER_", "MLFLOW_"))} - set(found)
    assert not gone, f"documented, but nothing reads it: {gone}"


def test_every_public_name_is_documented():
    """Each name of the package, and each method of the client, is in docs/tracking.md."""
    text = text_of("tracking")
    named = set(re.findall(r"`(?:skledger\.|client\.)?(\w+)", text))
    methods = {name for name in dir(skledger.TrackingClient) if not name.startswith("_")}
    missing = (set(skledger.__all__) | methods) - named - {"__version__"}
    assert not missing


def test_the_documentation_names_nothing_that_is_not_there():
    """Each name in the table of functions exists: in the package, or in its client."""
    section = text_of("tracking").split("\n## What is there\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \|([^|]+)\|([^|]+)\|$", section, re.MULTILINE)
    assert len(rows) > 5
    for functions, methods in rows:
        for name in re.findall(r"`([\w.]+)`", functions):
            place, _, last = f"skledger.{name}".rpartition(".")
            assert hasattr(importlib.import_module(place), last), name
        for name in re.findall(r"`(\w+)`", methods):
            assert hasattr(skledger.TrackingClient, name) or hasattr(skledger, name), name


def test_every_extra_is_documented():
    """What can be installed with the package, but for the tests, is in the documents."""
    extras = re.search(
        r"\[project\.optional-dependencies\]\n(.*?)\n\[",
        (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
        re.DOTALL,
    )[1]
    text = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "docs").glob("*.md"))
    for name in re.findall(r"^(\w+) = ", extras, re.MULTILINE):
        if name != "test":
            assert f"'skledger[{name}]'" in text, name


@pytest.mark.parametrize("path", [*sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("*.md")])
def test_links_lead_somewhere(path):
    """Links between the documents name files and headings that there are."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        if heading:
            lines = file.read_text(encoding="utf-8").splitlines()
            titles = [line.lstrip("# ").lower() for line in lines if line.startswith("#")]
            assert heading in [re.sub(r"[^\w\- ]", "", t).replace(" ", "-") for t in titles], target


def test_servers_in_the_documents_are_not_asked():
    """The examples run on this machine alone, whatever they show of servers."""
    for name in DOCS:
        for code, _ in programs_of(text_of(name)):
            assert not re.search(r"https?://|postgresql:|mysql:|s3:|gs:|abfs:", code), code
