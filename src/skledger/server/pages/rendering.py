"""Templates, and the addresses that pages link to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse

from skledger.server.pages import choosing, formatting, notes, run_state
from skledger.server.places import is_shared
from skledger.server.security.asking import ASKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from skledger.server.state import ServerState

__all__ = [
    "STATIC",
    "environment",
    "experiment_url",
    "model_url",
    "render",
    "run_url",
    "see_other",
    "state_of",
    "static_digest",
    "static_url",
    "url",
]

_HERE = Path(__file__).parent
#: The folder of scripts, styles and icons.
STATIC = _HERE / "static"
#: Below which path the application is mounted, of the request that is being answered.
_root: ContextVar[str] = ContextVar("root", default="")


def state_of(request: Request) -> ServerState:
    """Return what requests are answered from."""
    return cast("ServerState", request.app.state.skledger)


@cache
def static_digest() -> str:
    """Return a name for the present content of the static files; it is part of their addresses.

    So browsers may keep them for ever, and the modules that import each other by relative
    addresses are all of one version.
    """
    digest = blake2b(digest_size=6)
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(STATIC).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def url(path: str, query: Mapping[str, object] | None = None) -> str:
    """Return the address of a page of this application; what is empty in `query` is left out."""
    pairs: list[tuple[str, object]] = []
    for key, value in (query or {}).items():
        if isinstance(value, (list, tuple)):
            pairs += [(key, each) for each in value]
        elif value not in (None, "", False):
            pairs.append((key, value))
    address = _root.get() + path
    return f"{address}?{urlencode(pairs, errors='replace')}" if pairs else address


def static_url(path: str) -> str:
    """Return the address of a static file."""
    return url(f"/static/{static_digest()}/{path}")


def experiment_url(experiment_id: str, tail: str = "") -> str:
    """Return the address of an experiment's run table."""
    return url(f"/experiments/{quote(experiment_id, safe='')}{tail}")


def run_url(run_id: str, tail: str = "") -> str:
    """Return the address of a run's page."""
    return url(f"/runs/{quote(run_id, safe='')}{tail}")


def model_url(name: str, version: int | str | None = None, tail: str = "") -> str:
    """Return the address of a registered model or of one of its versions."""
    path = f"/models/{quote(name, safe='')}"
    if version is not None:
        path += f"/versions/{quote(str(version), safe='')}"
    return url(path + tail)


@cache
def environment() -> Environment:
    """Return the templates, with what they may call."""
    templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(
        url=url,
        static=static_url,
        experiment_url=experiment_url,
        run_url=run_url,
        model_url=model_url,
        duration=formatting.duration,
        lasted=run_state.lasted,
        edition=notes.edition,
        state=run_state.state,
    )
    templates.filters.update(
        time=formatting.time,
        number=formatting.number,
        duration_text=formatting.duration_text,
        size=formatting.human_size,
        shortened=formatting.shortened,
        markdown=formatting.markdown,
        plain=formatting.plain,
        own_tags=formatting.own_tags,
        with_code=formatting.with_code,
        brief=choosing.brief,
    )
    return templates


def shown_uri(request: Request) -> str:
    """Return where the records are; to users of a team's server, its address."""
    state = state_of(request)
    return str(request.base_url).rstrip("/") if is_shared(state) else state.store.uri


def render(
    request: Request,
    template: str,
    *,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """Return a page.

    Templates know, besides `values`: ``request``, ``read_only`` (the server, or who asks),
    ``user`` ("" where nobody is asked who he is) and ``store_uri``, and what `environment` gives
    them.
    """
    state = state_of(request)
    scope = request.scope
    token = _root.set(request.scope.get("root_path", ""))
    try:
        text = (
            environment()
            .get_template(template)
            .render(
                request=request,
                read_only=state.settings.read_only or scope.get("skledger.read_only", False),
                user=ASKING.get(),
                store_uri=shown_uri(request),
                **values,
            )
        )
    finally:
        _root.reset(token)
    # Kept for the back button, but asked for again whenever a page is opened. Files and JSON may
    # hold half a letter, which has no bytes.
    content = text.encode(errors="replace")
    return HTMLResponse(
        content, status_code, {"Cache-Control": "private, no-cache", **(headers or {})}
    )


def see_other(
    request: Request, path: str, query: Mapping[str, str | Sequence[str]] | None = None
) -> Response:
    """Return the answer to a form that was taken: look at `path` (of this application) now."""
    token = _root.set(request.scope.get("root_path", ""))
    try:
        return RedirectResponse(url(path, query), status_code=303)
    finally:
        _root.reset(token)
