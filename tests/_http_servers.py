"""Small HTTP servers of the tests: one that does as it is told, one that loses what passes it."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def _handle(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        with contextlib.suppress(OSError):
            self.server.answer(self)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle

    def reply(self, status=200, body=b"{}", headers=()):
        """Send an answer."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self):
        """End the connection without a word."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        pass


class HttpServer:
    """A server on a thread; `answer(handler)` is called for each request.

    Attributes
    ----------
    uri : str
        Its address.
    seen : list of (method, path, headers, body)
        What it was asked.
    """

    def __init__(self, answer, context=None):
        self.seen = []
        self._answer = answer
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.answer = self._take
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        self.port = self._server.server_address[1]
        self.uri = f"{scheme}://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def _take(self, handler):
        self.seen.append((handler.command, handler.path, dict(handler.headers), handler.body))
        self._answer(handler)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class LosingProxy(HttpServer):
    """Stands before a real server, and treats a part of what passes badly.

    A request is answered with 500, 503 or 429, or its connection is closed: before the server
    has got it, or after the server has done what it says.

    Parameters
    ----------
    target : str
        The address of the real server.
    seed : int
        For the same mishaps again.
    share : float
        How much goes wrong.
    """

    def __init__(self, target, seed, share=0.3):
        super().__init__(self._pass_on)
        self.random = random.Random(seed)
        self.share = share
        self.mishaps = []
        self._target = urlsplit(target)

    def _pass_on(self, handler):
        mishap = None
        if self.random.random() < self.share:
            mishap = self.random.choice(["500", "503", "429", "closed", "lost", "lost"])
            self.mishaps.append((mishap, handler.command, handler.path.partition("?")[0]))
        if mishap == "closed":
            return handler.hang_up()
        if mishap == "429":
            return handler.reply(429, b"slowly", {"Retry-After": "0.01"})
        if mishap in ("500", "503"):
            return handler.reply(int(mishap), b"<html>not now</html>")
        answer, body = self._forward(handler)
        if mishap == "lost":
            return handler.hang_up()
        kept = {k: v for k, v in answer.getheaders() if k.lower() in ("content-type", "location")}
        return handler.reply(answer.status, body, kept)

    def _forward(self, handler):
        connection = http.client.HTTPConnection(self._target.hostname, self._target.port)
        try:
            headers = {"Content-Type": handler.headers.get("Content-Type", "")}
            connection.request(handler.command, handler.path, handler.body, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


def never(handler):
    """Take a request and answer when nobody waits any more."""
    time.sleep(30)


def in_drops(handler):
    """Answer a byte now and then, without end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(300):
        handler.wfile.write(b" ")
        time.sleep(0.1)
