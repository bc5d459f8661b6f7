"""The application of the server, in a thread of the tests."""

from __future__ import annotations

import socket
import threading
import time

import httpx
import uvicorn

from skledger.server.app import create_app
from skledger.server.settings import ServerSettings
from skledger.stores.opening import open_store


class ApiServer:
    """The server over a store.

    Attributes
    ----------
    uri : str
        Its address.
    store : Store
        What it serves; asked directly, to see what requests came to.
    http : httpx.Client
        For requests as they are.
    """

    def __init__(self, store_uri, folder, *, proxied=True, **settings):
        self.folder = folder
        destination = str(folder / "served") if proxied else None
        self.store = open_store(store_uri, "mlflow-artifacts:/" if proxied else None)
        settings = ServerSettings(store_uri, destination, **settings)
        self.app = create_app(settings, self.store)
        self.artifacts = self.app.state.artifacts
        # asyncio sends small answers at once only where the protocol is named.
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_level="warning", lifespan="off"))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self.http = httpx.Client(base_url=self.uri, timeout=30)

    def __enter__(self):
        self._thread.start()
        end = time.monotonic() + 20
        while not self._server.started and time.monotonic() < end:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.http.close()
        self._server.should_exit = True
        self._thread.join(20)
        self.store.close()
        self._socket.close()

    def post(self, path, /, **body):
        """Send a JSON object; return the answer's JSON, having made sure that it is one."""
        return told(self.http.post(f"/api/2.0/mlflow/{path}", json=body))

    def get(self, path, /, **query):
        """Ask; return the answer's JSON, having made sure that it is one."""
        return told(self.http.get(f"/api/2.0/mlflow/{path}", params=query))


def told(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()
