"""The tracking server over a store, served from a thread of the tests."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager


def application(store, **settings):
    """Return the application that `skledger server` serves."""
    from skledger.server.app import create_app
    from skledger.server.settings import ServerSettings

    return create_app(ServerSettings(store_uri=store.uri, **settings), store)


@contextmanager
def serving(store, **settings):
    """Serve a store, pages and API; yields the address."""
    import uvicorn

    # asyncio sends small answers at once only where the protocol is named.
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        application(store, address=address, **settings), log_level="warning", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield address
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(10)
        listening.close()
