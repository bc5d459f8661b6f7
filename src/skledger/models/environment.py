"""The environment of a model, when its author says what it needs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.models.descriptor import environment_files

__all__ = ["Environment", "environment_of"]

_FILE = re.compile(r"(?:-r|--requirement)[\s=]+(.+)")
_CONSTRAINTS = re.compile(r"(?:-c|--constraint)[\s=]+(.+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Environment:
    """What the author of a model says of its environment.

    Parameters
    ----------
    exact : tuple of str, optional
        All that the model needs, instead of what was found.
    extra : tuple of str
        What it needs besides; a line about a package that was found replaces that.
    constraints : tuple of str
        Lines of a constraints file.
    conda : mapping, optional
        The whole ``conda.yaml``.
    """

    exact: tuple[str, ...] | None = None
    extra: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    conda: Mapping[str, Any] | None = None

    def files(self, found: tuple[str, ...]) -> dict[str, bytes]:
        """Return the files of the environment by name.

        Parameters
        ----------
        found : tuple of str
            The requirements that the pickle names.
        """
        lines = found if self.exact is None else self.exact
        replaced = {_package(line) for line in self.extra}
        lines = (*(line for line in lines if _package(line) not in replaced), *self.extra)
        more = {}
        if self.constraints:
            lines = (*lines, "-c constraints.txt")
            more["constraints.txt"] = "".join(f"{line}\n" for line in self.constraints).encode()
        files = {**environment_files(lines), **more}
        if self.conda is not None:
            import yaml

            files["conda.yaml"] = yaml.safe_dump(dict(self.conda), sort_keys=False).encode()
        return files


def _package(line: str) -> str:
    """Return the name of the package that a requirement is about, in its normal form."""
    match = _NAME.match(line)
    return line if match is None else re.sub(r"[-_.]+", "-", match[0]).lower()


def environment_of(
    conda_env: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    pip_requirements: Iterable[str] | str | None = None,
    extra_pip_requirements: Iterable[str] | str | None = None,
) -> Environment | None:
    """Return what the arguments of ``log_model`` say; None when they say nothing.

    Parameters
    ----------
    conda_env : mapping or path, optional
        A conda environment, or the path of its YAML file.
    pip_requirements : list of str or path, optional
        All that the model needs: lines of a requirements file, or its path. ``-r`` and ``-c``
        lines are followed.
    extra_pip_requirements : list of str or path, optional
        What it needs besides what is found.

    Raises
    ------
    InvalidParameterError
        When more than one is given, or one cannot be read as such.
    NotFoundError
        When there is no such file.
    """
    given = {
        "conda_env": conda_env,
        "pip_requirements": pip_requirements,
        "extra_pip_requirements": extra_pip_requirements,
    }
    named = [name for name, each in given.items() if each is not None]
    if len(named) > 1:
        raise InvalidParameterError(
            f"{' and '.join(named)} were given; expected one of conda_env, pip_requirements and "
            "extra_pip_requirements."
        )
    if conda_env is not None:
        conda = _conda(conda_env)
        return Environment(exact=tuple(_pip_of(conda)), conda=conda)
    constraints: list[str] = []
    if pip_requirements is not None:
        exact = tuple(_lines(pip_requirements, constraints, ()))
        return Environment(exact=exact, constraints=tuple(constraints))
    if extra_pip_requirements is not None:
        extra = tuple(_lines(extra_pip_requirements, constraints, ()))
        return Environment(extra=extra, constraints=tuple(constraints))
    return None


def _read(path: str | os.PathLike[str], what: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"{what} {os.fspath(path)!r} cannot be read: {error}.") from error


def _lines(
    given: Iterable[str] | str | os.PathLike[str],
    constraints: list[str],
    outer: tuple[Path, ...],
) -> Iterable[str]:
    """Yield the requirements in lines or in a file; those of constraint files are collected."""
    if isinstance(given, str | os.PathLike):
        path = Path(given).absolute()
        if path in outer:
            raise InvalidParameterError(
                f"the requirements file {os.fspath(given)!r} names itself by -r or -c: "
                f"{' -> '.join(each.name for each in (*outer, path))}."
            )
        folder, outer = path.parent, (*outer, path)
        given = _read(given, "the requirements file").splitlines()
    else:
        folder = Path()
    for each in given:
        if not isinstance(each, str):
            raise InvalidParameterError(f"a requirement is a text such as 'numpy>=2', not {each!r}")
        line = each.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if match := _FILE.fullmatch(line):
            yield from _lines(folder / match[1], constraints, outer)
        elif match := _CONSTRAINTS.fullmatch(line):
            constraints.extend(_lines(folder / match[1], constraints, outer))
        else:
            yield line


def _conda(given: Mapping[str, Any] | str | os.PathLike[str]) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    import yaml

    text = _read(given, "the conda environment")
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidParameterError(
            f"the conda environment {os.fspath(given)!r} is no YAML: {error}."
        ) from error
    if not isinstance(read, dict):
        raise InvalidParameterError(
            f"the conda environment {os.fspath(given)!r} is no YAML dictionary."
        )
    return read


def _pip_of(conda: Mapping[str, Any]) -> Iterable[str]:
    dependencies = conda.get("dependencies") or []
    if isinstance(dependencies, list):
        for each in dependencies:
            lines = (each.get("pip") or []) if isinstance(each, Mapping) else []
            if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
                raise InvalidParameterError(
                    f"pip in a conda environment is a list of requirements, not {lines!r}."
                )
            yield from lines
        return
    raise InvalidParameterError(
        f"dependencies in a conda environment are a list, not {dependencies!r}."
    )
