"""Reading a large file and computing its SHA-256 at the same time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from threading import Semaphore, Thread

import numpy as np

__all__ = ["LARGE", "read_and_hash"]

#: From this size on, in bytes, a second thread is worth its start.
LARGE = 1 << 24
_PIECE = 1 << 22


def read_and_hash(path: Path) -> tuple[bytes | memoryview, str]:
    """Return what is in a file, and the SHA-256 of just that in hexadecimal.

    The model is made from the very bytes that were hashed, so a file that changes in between
    cannot slip in. Of a large file, one piece is hashed while the next one is read, into memory
    that NumPy asks of the system in huge pages: in small ones, getting it takes as long as
    hashing it.

    Parameters
    ----------
    path : Path
        A regular file.

    Raises
    ------
    OSError
        It cannot be read, or became shorter on the way.
    """
    with path.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size < LARGE:
            content = stream.read()
            return content, hashlib.sha256(content).hexdigest()
        whole = np.empty(size, np.uint8).data
        digest, ready = hashlib.sha256(), Semaphore(0)
        ends = [*range(_PIECE, size, _PIECE), size]
        read: list[int] = []

        def follow() -> None:
            begin = 0
            for end in ends:
                ready.acquire()
                if len(read) == 0 or read[-1] < end:
                    return
                digest.update(whole[begin:end])
                begin = end

        hashing = Thread(target=follow, name="skledger-hashing")
        hashing.start()
        try:
            at = 0
            for end in ends:
                while at < end:
                    count = stream.readinto(whole[at:end])
                    if not count:
                        raise OSError(f"it ended after {at:,} of {size:,} bytes")
                    at += count
                read.append(at)
                ready.release()
        finally:
            ready.release()
            hashing.join()
    return whole, digest.hexdigest()
