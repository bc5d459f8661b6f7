"""docs/serving.md: its requests are answered as it shows, and it names all that there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from _scoring_server import ScoringServer

from skledger.models.asking import METHODS
from skledger.server.scoring.metrics import STATUSES
from skledger.server.scoring.reading import FORMS

TEXT = (Path(__file__).parent.parent / "docs" / "serving.md").read_text(encoding="utf-8")


def test_the_requests_are_answered_as_shown(tmp_path):
    """Each command runs; where an answer is shown below it, that is the answer."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    blocks = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
    for kind, code in blocks:
        if kind == "python":
            exec(code, {"__name__": "docs_serving"})
    asked = [at for at, (kind, _) in enumerate(blocks) if kind == "bash"]
    assert len(asked) >= 4
    with ScoringServer("iris", tmp_path) as server:
        for at in asked:
            command = blocks[at][1].replace("http://127.0.0.1:5000", server.uri)
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
            answer = json.loads(done.stdout)
            if blocks[at + 1][0] == "json":
                assert answer == json.loads(blocks[at + 1][1])
            else:
                assert len(answer["predictions"][0]) == 3


def test_all_is_named():
    """Every field, method and status."""
    for each in (*FORMS, *METHODS, *STATUSES[1:], "/docs", "/metrics"):
        assert str(each) in TEXT, each
