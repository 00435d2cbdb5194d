"""A small reverse proxy that serves another port under a path prefix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def reverse_proxy(target: int, strip: str = "") -> Iterator[int]:
    """Forward requests to the port `target`, without the prefix `strip` of their path; yields the proxy's port."""

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = HTTPConnection("127.0.0.1", target, timeout=60)
            connection.request(self.command, self.path.removeprefix(strip) or "/", body, dict(self.headers))
            response = connection.getresponse()
            self.send_response(response.status)
            for name, value in response.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.read())
            connection.close()

        do_GET = do_HEAD = do_POST = forward

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
