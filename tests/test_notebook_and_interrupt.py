"""In a notebook, and when the user presses Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

import skledger
from skledger.ledger.drawing import missing_pictures


def test_cells_of_a_notebook_share_the_active_run(tmp_path):
    """A run that one cell starts is active in the next; pictures come without a flush."""
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    cells = [
        "import skledger; skledger.autolog()",
        "from sklearn.datasets import load_diabetes\n"
        "from sklearn.linear_model import Ridge\n"
        "X, y = load_diabetes(return_X_y=True)\n"
        "run = skledger.start_run(run_name='of the notebook')",
        "Ridge(alpha=2).fit(X, y)",
        "skledger.end_run()",
        "Ridge(alpha=3).fit(X, y)",
        "import time\n"
        "from skledger.ledger.drawing import missing_pictures\n"
        "deadline = time.monotonic() + 60\n"
        "while missing_pictures(skledger.last_active_run()) and time.monotonic() < deadline:\n"
        "    time.sleep(0.1)\n"
        "assert not missing_pictures(skledger.last_active_run())",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = nbclient.NotebookClient(
        notebook, timeout=200, resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert "autologging to sqlite" in str(notebook.cells[0].outputs)
    first, second = skledger.search_runs(output_format="list", order_by=["start_time ASC"])
    assert first.info.run_name == "of the notebook"
    assert first.data.params["alpha"] == "2"
    assert second.data.params["alpha"] == "3"
    assert first.data.tags["mlflow.source.type"] == "NOTEBOOK"


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a child on Windows")
def test_ctrl_c_after_a_fit_ends_the_script_as_without_us(tmp_path):
    """The exit is an interrupt's, at once; records are there, undrawn pictures are announced."""
    code = """
    import time
    import skledger; skledger.autolog()
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge
    with skledger.start_run():
        Ridge().fit(*load_diabetes(return_X_y=True))
        print("fitted", flush=True)
        time.sleep(60)
    """
    (tmp_path / "train.py").write_text(textwrap.dedent(code))
    process = subprocess.Popen(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().strip() == "fitted"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    (run,) = skledger.search_runs(output_format="list")
    assert run.info.status == "KILLED"
    assert run.data.metrics["training_score"] > 0
    assert ("skledger plots --missing" in errors) == bool(missing_pictures(run))
