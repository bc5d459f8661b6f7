"""What a viewer waits for: pages in a real Chromium, for the benchmark of the server."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from server_process import Running
from server_store import EXPERIMENT

FILTER, METRIC = "metrics.test_score > 0.5", "test_score"
KINDS = ("the run table", "filtered by a metric", "sorted by a metric", "filtered and sorted")
#: What stands in a row's link, once it is there.
ROW = {"skledger": "tr[id^='run-'] a[href*='/runs/']", "mlflow": "a[href*='/runs/']"}
#: How long a page may take, in seconds.
PATIENCE = 60
WORD = "first row: "
#: Tells when the first row was there, once it has been painted, by the page's own clock, which
#: starts with the navigation.
WATCH = """
(() => {
  const seen = () => {
    const row = document.querySelector(ROW);
    if (!row || !row.textContent.trim() || !row.getClientRects().length) return false;
    requestAnimationFrame(() => setTimeout(() => console.debug("WORD" + performance.now())));
    return true;
  };
  const watch = new MutationObserver(() => { if (seen()) watch.disconnect(); });
  watch.observe(document, {childList: true, subtree: true, characterData: true});
})();
"""


@dataclass
class Loaded:
    """How pages of one kind came.

    Parameters
    ----------
    cold, warm : list of float
        Seconds until the first row was painted: with nothing in the browser's cache, and with it.
    """

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)


def address(name: str, base: str, kind: str) -> str:
    """Return where a page of one kind is."""
    asked = {}
    if name == "skledger":
        if "filtered" in kind:
            asked["filter"] = FILTER
        if "sorted" in kind:
            asked["order_by"] = f"metrics.{METRIC} DESC"
        return f"{base}/experiments/{EXPERIMENT}" + (f"?{urlencode(asked)}" if asked else "")
    if "filtered" in kind:
        asked["searchFilter"] = FILTER
    if "sorted" in kind:
        asked |= {"orderByKey": f"metrics.`{METRIC}`", "orderByAsc": "false"}
    # The page of an experiment leads elsewhere until its kind is chosen: straight to the runs.
    return f"{base}/#/experiments/{EXPERIMENT}/runs" + (f"?{urlencode(asked)}" if asked else "")


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Run a browser without a window."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    installed = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("SKLEDGER_CHROMIUM") or installed,
            args=["--no-sandbox", "--disable-gpu"],
        )
        yield browser
        browser.close()


def _watch(name: str) -> str:
    return WATCH.replace("ROW", repr(ROW[name])).replace("WORD", WORD)


def look(browser: Any, running: Running, kind: str, into: Loaded) -> None:
    """Open a page twice, cold and warm, as one viewer does; what takes too long is infinite."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        context.add_init_script(_watch(running.name))
        page = context.new_page()
        where = address(running.name, running.address, kind)
        into.cold.append(_open(page, where))
        into.warm.append(_open(page, where) if into.cold[-1] < PATIENCE else math.inf)
    finally:
        context.close()


def _open(page: Any, where: str) -> float:
    from playwright.sync_api import TimeoutError as TooLongError

    page.goto("about:blank")  # else an address that differs behind the # loads nothing
    try:
        # A script's words reach through any policy of the page, and nobody has to ask for them.
        with page.expect_console_message(
            lambda message: message.text.startswith(WORD), timeout=PATIENCE * 1000
        ) as told:
            page.goto(where, wait_until="commit", timeout=PATIENCE * 1000)
        return float(told.value.text.removeprefix(WORD)) / 1000
    except TooLongError:
        return math.inf


def on_the_wire(browser: Any, running: Running) -> tuple[int, int]:
    """Return the bytes that the run table takes in all when nothing is cached, and how many files.

    Of the front-end: pages, scripts, styles, fonts and pictures, packed as they came; not what is
    asked for by scripts.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    kinds: dict[str, str] = {}
    sizes: dict[str, float] = {}
    try:
        context.add_init_script(_watch(running.name))
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: e["type"]}))
        session.on(
            "Network.loadingFinished",
            lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}),
        )
        _open(page, address(running.name, running.address, KINDS[0]))
        page.wait_for_timeout(2000)  # what comes after the first row
    finally:
        context.close()
    own = [size for at, size in sizes.items() if kinds.get(at) not in ("XHR", "Fetch")]
    return int(sum(own)), len(own)
