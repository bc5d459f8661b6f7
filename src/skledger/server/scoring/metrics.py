"""Counters of all worker processes in one small shared file, as Prometheus reads them.

Each worker writes to a row of its own and only from its event loop, so nothing is locked; whoever
is asked adds the rows up. A worker that takes the place of another goes on with its row.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Mapping

__all__ = ["STATUSES", "Metrics"]

#: What /invocations may answer; anything else counts as 500.
STATUSES = (200, 400, 405, 408, 413, 415, 500, 503, 504)
#: Upper bounds of the histogram, in seconds.
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PLAIN = ("seconds", "model_seconds", "rows", "bytes_in", "bytes_out", "under_way", "starts")
_NAMES = (
    *(f"status_{each}" for each in STATUSES),
    *(f"bound_{each}" for each in range(len(_BOUNDS) + 1)),
    *_PLAIN,
)
_AT = {name: at for at, name in enumerate(_NAMES)}


class Metrics:
    """What a worker counts, and the sum of what all of them have counted.

    Parameters
    ----------
    file : int, optional
        The descriptor of the file that the workers share; None for one process alone.
    worker, workers : int
        Which of how many this is.
    labels : mapping of str to str
        What is said of the model.
    """

    def __init__(
        self,
        file: int | None = None,
        worker: int = 0,
        workers: int = 1,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.workers = workers
        self.labels = dict(labels or {})
        self._width = len(_NAMES)
        size = self.size(workers)
        shared = mmap.mmap(-1 if file is None else file, size)
        self._all = memoryview(shared).cast("d")
        self._own = self._all[worker * self._width : (worker + 1) * self._width]
        self._own[_AT["under_way"]] = 0.0  # whoever was here before answers no more
        self._own[_AT["starts"]] += 1

    @staticmethod
    def size(workers: int) -> int:
        """Return the size of the file that so many workers share, in bytes."""
        return 8 * len(_NAMES) * workers

    def begin(self) -> float:
        """Count a request that has come; return when that was, for `end`."""
        self._own[_AT["under_way"]] += 1
        return time.perf_counter()

    def end(self, begun: float, status: int, bytes_in: int, bytes_out: int) -> None:
        """Count a request that was answered."""
        took = time.perf_counter() - begun
        own = self._own
        own[_AT["under_way"]] -= 1
        own[_AT[f"status_{status if status in STATUSES else 500}"]] += 1
        at = next((at for at, bound in enumerate(_BOUNDS) if took <= bound), len(_BOUNDS))
        own[_AT[f"bound_{at}"]] += 1
        own[_AT["seconds"]] += took
        own[_AT["bytes_in"]] += bytes_in
        own[_AT["bytes_out"]] += bytes_out

    def predicted(self, rows: int, seconds: float) -> None:
        """Count rows that were predicted, and how long reading, predicting and writing took."""
        self._own[_AT["rows"]] += rows
        self._own[_AT["model_seconds"]] += seconds

    def _sum(self, name: str) -> float:
        return sum(self._all[_AT[name] :: self._width].tolist())

    def text(self) -> str:
        """Return all figures in the format of Prometheus."""
        lines: list[str] = []
        prefix = "skledger_invocation"
        _family(lines, f"{prefix}s_total", "counter", "Requests that were answered.")
        for each in STATUSES:
            lines.append(f'{prefix}s_total{{status="{each}"}} {self._sum(f"status_{each}"):.0f}')
        _family(lines, f"{prefix}_seconds", "histogram", "From the first byte to the answer.")
        total = 0.0
        for at, bound in enumerate((*_BOUNDS, "+Inf")):
            total += self._sum(f"bound_{at}")
            lines.append(f'{prefix}_seconds_bucket{{le="{bound}"}} {total:.0f}')
        lines.append(f"{prefix}_seconds_sum {self._sum('seconds'):.6f}")
        lines.append(f"{prefix}_seconds_count {total:.0f}")
        for name, key, kind, text in (
            (f"{prefix}s_in_progress", "under_way", "gauge", "Requests under way."),
            ("skledger_predicted_rows_total", "rows", "counter", "Rows that were predicted."),
            ("skledger_predicting_seconds_total", "model_seconds", "counter", "Time at work."),
            ("skledger_request_bytes_total", "bytes_in", "counter", "Bytes of bodies received."),
            ("skledger_response_bytes_total", "bytes_out", "counter", "Bytes of answers."),
            ("skledger_worker_starts_total", "starts", "counter", "Workers that were started."),
        ):
            _family(lines, name, kind, text)
            lines.append(f"{name} {self._sum(key):.10g}")
        _family(lines, "skledger_workers", "gauge", "Worker processes that there should be.")
        lines.append(f"skledger_workers {self.workers}")
        _family(lines, "skledger_model_info", "gauge", "What is served.")
        told = ",".join(f'{name}="{_escaped(each)}"' for name, each in self.labels.items())
        lines.append(f"skledger_model_info{{{told}}} 1")
        return "\n".join(lines) + "\n"


def _family(lines: list[str], name: str, kind: str, text: str) -> None:
    lines += (f"# HELP {name} {text}", f"# TYPE {name} {kind}")


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
