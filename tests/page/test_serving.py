"""Streamlit's scripts are sent compressed, once compressed; the document with styles; all else passes as it is."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest
import streamlit
from streamlit.web.server.starlette.starlette_static_routes import create_streamlit_static_handler

from ser.page.serving import CompressedAssets, StyledDocument, middleware

FOLDER = Path(streamlit.__file__).parent / "static"
SCRIPT = max((FOLDER / "static" / "js").glob("index.*.js"), key=lambda path: path.stat().st_size)
FONT = next((FOLDER / "static" / "media").glob("*.woff2"))


class Counted:
    """Streamlit's own files, with the number of requests that reach them."""

    def __init__(self) -> None:
        self.requests = 0
        self.files = create_streamlit_static_handler(str(FOLDER), None)

    async def __call__(self, scope, receive, send):
        self.requests += 1
        await self.files(scope, receive, send)


@pytest.fixture
def files():
    return Counted()


@pytest.fixture
def app(files):
    return CompressedAssets(files)


def get(app, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "query_string": b"", "headers": raw}
    messages = []

    async def receive():
        await asyncio.Event().wait()  # the client stays

    async def send(message):
        messages.append(message)

    asyncio.run(app(scope, receive, send))
    start, *bodies = messages
    found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return start["status"], found, b"".join(message.get("body", b"") for message in bodies)


def url(path: Path) -> str:
    return "/" + path.relative_to(FOLDER).as_posix()


def test_a_script_is_compressed_once(app, files):
    first = get(app, url(SCRIPT), accept_encoding="gzip, br")
    assert get(app, url(SCRIPT), accept_encoding="gzip") == first
    status, headers, body = first
    assert status == 200 and headers["content-encoding"] == "gzip" and "javascript" in headers["content-type"]
    assert headers["vary"] == "Accept-Encoding" and "immutable" in headers["cache-control"]
    assert int(headers["content-length"]) == len(body) < SCRIPT.stat().st_size / 2
    assert gzip.decompress(body) == SCRIPT.read_bytes()
    assert files.requests == 1


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        (url(SCRIPT), "GET", {}),
        (url(SCRIPT), "HEAD", {"accept_encoding": "gzip"}),
        (url(SCRIPT), "GET", {"accept_encoding": "gzip", "range": "bytes=0-9"}),
        (url(FONT), "GET", {"accept_encoding": "gzip"}),
        ("/index.html", "GET", {"accept_encoding": "gzip"}),
        ("/static/js/missing.js", "GET", {"accept_encoding": "gzip"}),
    ],
)
def test_everything_else_passes(app, files, path, method, headers):
    passed = get(app, path, method, **headers)
    assert passed == get(files, path, method, **headers)
    assert "content-encoding" not in passed[1]
    requests = files.requests
    get(app, path, method, **headers)
    assert files.requests == requests + 1  # nothing is kept


@pytest.mark.parametrize(
    "conditions", [{}, {"if_none_match": '"x"', "if_modified_since": "Fri, 27 Nov 2099 00:00:00 GMT"}]
)
def test_the_document_has_the_styles_behind_all_others(files, conditions):
    app = StyledDocument(files, ".bar { color: red }", "app/static/font.woff2")
    status, headers, body = get(app, "/", accept="text/html", **conditions)
    assert status == 200 and int(headers["content-length"]) == len(body) and "etag" not in headers
    text = body.decode()
    assert text.endswith("<style>.bar { color: red }</style></body>\n</html>\n")
    assert text.count('href="app/static/font.woff2" as="font"') == 1


@pytest.mark.parametrize(("path", "accept"), [("/", "*/*"), ("/favicon.png", "text/html")])
def test_what_is_no_document_passes_without_styles(files, path, accept):
    app = StyledDocument(files, "", "")
    assert get(app, path, accept=accept) == get(files, path, accept=accept)


def test_middleware_reads_the_style_sheet(files, tmp_path):
    styles = tmp_path / "page.css"
    styles.write_text("p { margin: 0 }")
    app = files
    for each in reversed(middleware(styles, "font.woff2")):
        app = each.cls(app, *each.args, **each.kwargs)
    assert b"<style>p { margin: 0 }</style>" in get(app, "/", accept="text/html")[2]
    assert get(app, url(SCRIPT), accept_encoding="gzip")[1]["content-encoding"] == "gzip"
