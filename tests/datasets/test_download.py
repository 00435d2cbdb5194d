"""Downloads from a real server on loopback: complete, interrupted, with wrong bytes, and without a server."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ser.datasets.corpora import CORPORA, load_corpus
from ser.datasets.download import download
from ser.types import ParameterError

ARCHIVE = CORPORA["ravdess"].archive
NAMES = [f"Actor_0{actor}/03-01-0{code}-01-01-01-0{actor}.wav" for actor in (1, 2) for code in (3, 5)]


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def sound(seed: int) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, np.random.default_rng(seed).uniform(-0.5, 0.5, 4000), 8000, format="WAV")
    return buffer.getvalue()


GOOD = packed({name: sound(seed) for seed, name in enumerate(NAMES)})


class Server(ThreadingHTTPServer):
    """Serve the bodies in turn, then the last one again; `promised` is the length in the header."""

    def __init__(self, bodies: list[bytes], promised: int | None):
        super().__init__(("127.0.0.1", 0), Answer)
        self.bodies, self.promised, self.asked = bodies, promised, []


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        body = self.server.bodies[min(len(self.server.asked), len(self.server.bodies) - 1)]
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.promised or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Keep the tests' output clean."""


@pytest.fixture
def serve():
    """Start servers of given bodies, `serve(body, ..., promised=None)`; stop them after the test."""
    servers = []

    def start(*bodies: bytes, promised: int | None = None) -> Server:
        servers.append(Server(list(bodies), promised))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def hash_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


fetch = partial(download, "ravdess", known_hash=hash_of(GOOD), retries=0, progress=False)


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.slow
def test_a_complete_archive_becomes_a_corpus(serve, tmp_path, capfd):
    server = serve(GOOD)
    target = fetch(tmp_path / "data", url_of(server), progress=True)
    assert target == tmp_path / "data" / "ravdess"
    assert len(load_corpus("ravdess", tmp_path / "data").clips) == len(NAMES)
    assert left_in(tmp_path / "data") == ["ravdess"]
    assert server.asked == [f"/{ARCHIVE}"]
    assert "100%" in capfd.readouterr().err
    assert fetch(tmp_path / "data", url_of(server)) == target
    assert len(server.asked) == 1  # what is there is not fetched again


@pytest.mark.slow
def test_a_broken_transfer_leaves_nothing_and_can_be_repeated(serve, tmp_path):
    server = serve(GOOD[: len(GOOD) // 2], GOOD, promised=len(GOOD))
    with pytest.raises(ParameterError, match=f"could not be downloaded.*Fetch .*{ARCHIVE} with a browser"):
        fetch(tmp_path, url_of(server))
    assert left_in(tmp_path) == []
    assert len(load_corpus("ravdess", fetch(tmp_path, url_of(server))).clips) == len(NAMES)


@pytest.mark.slow
def test_a_broken_transfer_is_tried_again(serve, tmp_path):
    server = serve(GOOD[:1000], GOOD, promised=len(GOOD))
    assert fetch(tmp_path, url_of(server), retries=1).is_dir()
    assert len(server.asked) == 2


@pytest.mark.slow
def test_wrong_bytes_leave_nothing(serve, tmp_path):
    server = serve(packed({NAMES[0]: sound(9)}))
    with pytest.raises(ParameterError, match="is not the published file"):
        fetch(tmp_path, url_of(server))
    assert server.asked == [f"/{ARCHIVE}"]
    assert left_in(tmp_path) == []


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ParameterError, match=f"put it into {tmp_path} and run this again, or unpack it to"):
            fetch(tmp_path, url)
    assert left_in(tmp_path) == []


def test_an_archive_fetched_by_hand_is_used_and_kept(tmp_path):
    (tmp_path / ARCHIVE).write_bytes(GOOD)
    target = fetch(tmp_path, "http://127.0.0.1:9")
    assert len(load_corpus("ravdess", target).clips) == len(NAMES)
    assert sorted(left_in(tmp_path)) == sorted([ARCHIVE, "ravdess"])


@pytest.mark.parametrize("name", ["../escaped.wav", "/escaped.wav", "Actor_01\\..\\..\\escaped.wav"])
def test_an_archive_with_paths_outside_its_folder_is_refused(serve, tmp_path, name):
    body = packed({NAMES[0]: sound(0), name: b"x"})
    with pytest.raises(ParameterError, match="is outside the target folder; nothing was unpacked"):
        fetch(tmp_path / "data", url_of(serve(body)), known_hash=hash_of(body))
    assert left_in(tmp_path / "data") == [ARCHIVE]
    assert left_in(tmp_path) == ["data"]


def test_an_archive_that_breaks_while_unpacking_leaves_no_corpus(serve, tmp_path):
    body = GOOD.replace(sound(2)[100:200], bytes(100))  # the third member's checksum fails
    with pytest.raises(ParameterError, match=r"could not be unpacked .* Nothing was left there"):
        fetch(tmp_path, url_of(serve(body)), known_hash=hash_of(body))
    assert left_in(tmp_path) == [ARCHIVE]
    with pytest.raises(ParameterError, match="No ravdess recordings"):
        load_corpus("ravdess", tmp_path)


def test_names_without_an_archive_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="Unknown corpus 'x'; known: ravdess"):
        download("x", tmp_path)
    with pytest.raises(
        ParameterError, match=r"no archive of tess .* published at https://doi.org.*ser can download: ravdess"
    ):
        download("tess", tmp_path)
    with pytest.raises(ParameterError, match="These recordings are your own"):
        download("folder", tmp_path)


def test_a_file_at_the_corpus_path_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"cannot be read \(File name too long\)\. Name another folder with --to"):
        fetch(tmp_path / ("x" * 300))
    (tmp_path / "ravdess").write_text("x")
    with pytest.raises(ParameterError, match="is a file; the ravdess folder needs this path"):
        fetch(tmp_path)
