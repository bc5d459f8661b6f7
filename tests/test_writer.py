"""The background writer: polite, bounded, and gone when it must be."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from sklearn.linear_model import Ridge

import skledger
from skledger import _writer
from skledger._guard import switch
from skledger._writer import Job, Writer


@pytest.fixture
def writer():
    own = Writer()
    yield own
    own.flush(10)
    own._closing = True


def test_jobs_run_in_order_and_flush_waits_for_them(writer):
    """All that was submitted is done when flush returns."""
    done = []
    for n in range(5):
        writer.submit(Job("it", lambda n=n: (time.sleep(0.01), done.append(n))))
    assert writer.flush(10)
    assert done == [0, 1, 2, 3, 4]


def test_flush_gives_up_after_its_timeout(writer):
    """A slow job does not hold flush for ever."""
    release = threading.Event()
    writer.submit(Job("it", release.wait))
    assert not writer.flush(0.1)
    release.set()
    assert writer.flush(10)


def test_too_many_jobs_drop_the_oldest(writer, monkeypatch, caplog):
    """The queue is bounded, what is dropped is counted and said at the end."""
    monkeypatch.setattr(switch, "_fitting", {1})
    done = []
    for n in range(_writer.LIMIT + 10):
        writer.submit(Job("it", lambda n=n: done.append(n)))
    assert writer.dropped >= 8
    with caplog.at_level(logging.WARNING, "skledger"):
        writer.close()
    assert done[-1] == _writer.LIMIT + 9
    assert len(done) + 10 >= _writer.LIMIT
    assert "skledger plots --missing" in caplog.text


def test_a_job_waits_for_training_to_pause(writer, monkeypatch):
    """While a fit is under way a job is not begun; when it has ended, it is."""
    monkeypatch.setattr(switch, "_fitting", {1})
    done = threading.Event()
    writer.submit(Job("it", done.set))
    assert not done.wait(0.5)
    monkeypatch.setattr(switch, "_fitting", set())
    assert done.wait(5)


def test_training_without_a_pause_does_not_starve_jobs(writer, monkeypatch):
    """After a while a job is done all the same."""
    monkeypatch.setattr(_writer, "PATIENCE", 0.2)
    monkeypatch.setattr(switch, "_fitting", {1})
    done = threading.Event()
    writer.submit(Job("it", done.set))
    assert done.wait(5)


def test_an_alarm_rings_unless_it_is_cancelled(writer):
    """Alarms are for fits that take long."""
    rung = threading.Event()
    cancelled = threading.Event()
    writer.cancel(writer.alarm(0.05, cancelled.set))
    writer.alarm(0.05, rung.set)
    assert rung.wait(5)
    assert not cancelled.is_set()


def test_a_failing_job_is_one_line_and_the_next_is_done(writer, caplog, swallowed):
    """The thread survives what it runs."""
    done = threading.Event()

    def fail():
        raise OSError("no")

    writer.submit(Job("the picture", fail))
    writer.submit(Job("it", done.set))
    assert writer.flush(10)
    assert done.is_set()
    assert caplog.text.count("could not book the picture: OSError: no") == 1
    swallowed.clear()


def test_exit_is_not_held_up(writer, caplog):
    """close() works for its time and leaves the rest."""
    for _ in range(20):
        writer.submit(Job("it", lambda: time.sleep(0.1)))
    start = time.monotonic()
    writer.close(0.3)
    assert time.monotonic() - start < 3
    assert "left undrawn" in caplog.text


def test_a_loop_of_fits_leaves_its_pictures_to_be_drawn(autolog, regression, run_python):
    """Hundreds of fits: every record is there, exit is quick, what is undrawn can be drawn."""
    process = run_python(
        """
        import time
        import skledger; skledger.autolog()
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge
        X, y = load_diabetes(return_X_y=True)
        for alpha in range(150):
            Ridge(alpha=alpha).fit(X, y)
        """
    )
    runs = skledger.search_runs(output_format="list")
    assert len(runs) == 150
    assert "skledger plots --missing" in process.stderr
    from skledger.ledger.drawing import draw_missing, missing_pictures

    undrawn = [run for run in runs if missing_pictures(run)]
    assert undrawn
    draw_missing(undrawn[0])
    assert not missing_pictures(undrawn[0])


def test_memory_does_not_hold_the_training_data(autolog):
    """What waits to be drawn holds numbers, not the user's arrays or estimators."""
    import gc
    import weakref

    import numpy as np

    X = np.random.default_rng(0).normal(size=(500, 5))
    model = Ridge().fit(X, X[:, 0])
    links = [weakref.ref(X), weakref.ref(model)]
    del X, model
    gc.collect()
    assert [link() for link in links] == [None, None]
