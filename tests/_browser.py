"""A real Chromium for tests of pages: it fails on console errors and failed requests.

Import the fixtures into a test module: ``from _browser import browser, page  # noqa: F401``.
``page`` is a Playwright page with ``shot(name)``, ``look_right()`` and ``serious()`` beside it as
attributes of ``page.looks``.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"
WIDE, NARROW = (1280, 800), (390, 844)
_CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable():
    """The Chromium of this machine, or None for the one that Playwright installed."""
    named = os.environ.get("SKLEDGER_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _CANDIDATES)), None)


def screenshots():
    """Where screenshots go."""
    folder = os.environ.get("SKLEDGER_SCREENSHOTS")
    place = Path(folder) if folder else Path(tempfile.gettempdir()) / "skledger-screenshots"
    place.mkdir(parents=True, exist_ok=True)
    return place


class Looks:
    """What a page looks like, and whether everyone can use it."""

    def __init__(self, page):
        self._page = page
        #: What went wrong on the page; empty it when a test provokes it.
        self.errors = []
        #: Regular expressions of errors that a test expects.
        self.expected = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(f"script: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _heard(self, message):
        # A failed request is told by the response, with its address.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.errors.append(f"console: {message.text}")

    def _failed(self, request):
        # What the viewer leaves is aborted; that is no failure. Nor is a download.
        if request.failure and "ERR_ABORTED" not in request.failure:
            self.errors.append(f"request: {request.url} {request.failure}")

    def _answered(self, response):
        if response.status >= 400:
            self.errors.append(f"answer: {response.status} {response.url}")

    def complaints(self):
        """Return the errors that no test expected."""
        return [each for each in self.errors if not any(re.search(e, each) for e in self.expected)]

    def shot(self, name, full=True):
        """Take a screenshot into the folder of screenshots."""
        self._page.screenshot(path=screenshots() / f"{name}.png", full_page=full)

    def theme(self, name):
        """Use the dark or the light theme, as the system would ask for it."""
        self._page.emulate_media(color_scheme=name)

    def everywhere(self, name):
        """Take screenshots light and dark, wide and narrow, and check each for all viewers."""
        for theme in ("light", "dark"):
            for width, size in (("wide", WIDE), ("narrow", NARROW)):
                self.theme(theme)
                self._page.set_viewport_size({"width": size[0], "height": size[1]})
                self._page.wait_for_timeout(150)  # charts take their new size
                self.shot(f"{name}-{width}-{theme}")
                # In the dark, only the colours are others.
                self.right("color-contrast" if theme == "dark" else None)
        self.theme("light")
        self._page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})

    def right(self, rule=None):
        """Check that nothing sticks out at the side, and that axe (or one rule) finds no fault."""
        wider = self._page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider <= 0, f"the page is {wider} px wider than the window"
        assert not (found := self.serious(rule)), "\n".join(found)

    def serious(self, rule=None):
        """Return what axe-core calls serious or critical, one line each."""
        if not self._page.evaluate("typeof axe == 'object'"):
            # Through the debugger, because the page's policy refuses scripts of others.
            self._page.evaluate(AXE.read_text() + "; undefined")
        options = {"resultTypes": ["violations"], **({"runOnly": [rule]} if rule else {})}
        result = self._page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]} "
            f"({each['nodes'][0].get('failureSummary', '')[:300]})"
            for each in result["violations"]
            if each["impact"] in ("serious", "critical")
        ]


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=executable(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """A page in a context of its own, in UTC and English; errors on it fail the test."""
    context = browser.new_context(
        viewport={"width": WIDE[0], "height": WIDE[1]},
        locale="en-GB",
        timezone_id="Europe/Berlin",
        accept_downloads=True,
    )
    opened = context.new_page()
    opened.looks = Looks(opened)
    opened.set_default_timeout(30_000)  # machines of tests are busy
    yield opened
    complaints = opened.looks.complaints()
    context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def plain_page(browser):
    """A page of a browser without JavaScript."""
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.set_default_timeout(30_000)  # machines of tests are busy
    yield opened
    context.close()
