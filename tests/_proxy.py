"""A proxy in front of a tracking server that loses requests and answers, on demand."""

from __future__ import annotations

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from _mlflow_server import free_port

_HOP = {"transfer-encoding", "connection", "content-length", "date", "server"}


class Proxy:
    """Forwards to a server, as it is told to.

    Attributes
    ----------
    uri : str
        Its address, the same whether it runs or not.
    choose : callable
        Called with the number of the request, its method and its path; returns what to do: None
        to forward it, a status to answer that instead, ``"lose"`` to forward it and answer 502,
        ``"drop"`` to forward it and close the connection, ``"hang"`` never to answer. It may do
        something itself.
    after : callable or None
        Called with the number of a request that was forwarded, before it is answered.
    """

    def __init__(self, target):
        self.target = urlsplit(target)
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.choose = lambda number, method, path: None
        self.after = None
        self.count = 0
        self._lock = threading.Lock()
        self._server = None
        self._ended = threading.Event()

    def start(self):
        """Listen, until `stop`."""
        proxy = self
        self._ended.clear()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def serve(self):
                proxy.serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

        ThreadingHTTPServer.request_queue_size = 50
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        """Let nobody listen any more."""
        self._ended.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def serve(self, handler):
        with self._lock:
            self.count += 1
            number = self.count
        body = self._body(handler)
        chosen = self.choose(number, handler.command, handler.path)
        if chosen == "hang":
            self._ended.wait(120)
        if chosen == "hang" or self._ended.is_set():  # also on connections that were there before
            handler.close_connection = True
            return
        if isinstance(chosen, int):
            self._answer(handler, chosen, [("Retry-After", "0.05")], b"no")
            return
        status, headers, content = self._forward(handler, body)
        if self.after is not None:
            self.after(number)
        if chosen == "lose":
            self._answer(handler, 502, [], b"lost")
        elif chosen == "drop":
            handler.close_connection = True
        else:
            self._answer(handler, status, headers, content)

    @staticmethod
    def _body(handler):
        if "chunked" in handler.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(handler.rfile.readline().split(b";")[0], 16):
                parts.append(handler.rfile.read(size))
                handler.rfile.readline()
            handler.rfile.readline()
            return b"".join(parts)
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))

    def _forward(self, handler, body):
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=60)
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in {*_HOP, "host"}}
        connection.request(handler.command, handler.path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in _HOP]
        connection.close()
        return answer.status, kept, content

    @staticmethod
    def _answer(handler, status, headers, content):
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


def wait_for(condition, seconds=30):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)
