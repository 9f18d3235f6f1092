"""Servers on this machine that answer as a test says, pages of engines, and the mock engine where it can be built."""

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

PAGES = Path(__file__).parent / "fixtures"
MOCK = Path(__file__).parents[5] / "shared" / "tools" / "mock_openai_server" / "mock_server.py"


def answer(handler, status=200, body=b"", **headers):
    """One answer; a body that is no text is sent as JSON. Headers are written with _ for -."""
    content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in ({"Content_Length": len(content)} | headers).items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(content)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # whoever asked hung up, or refused the certificate
        pass


class Answers:
    """A server whose pages are a dictionary: values are bodies, statuses, or functions of the handler."""

    def __init__(self, pages, tls=None):
        self.pages, self.asked, self.over = pages, [], threading.Event()
        test = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                path = self.path.partition("?")[0]
                test.asked.append((path, self.headers.get("Authorization"), self.client_address[1]))
                page = test.pages.get(path, test.pages.get("*", 404))
                with contextlib.suppress(OSError):
                    if callable(page):
                        page(self)
                    elif isinstance(page, int):
                        answer(self, page)
                    else:
                        answer(self, 200, page)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve():
    """Start servers: ``serve(pages)``; ``serve.answer`` writes one answer."""
    running = []

    def start(pages, tls=None):
        running.append(Answers(pages, tls))
        return running[-1]

    start.answer = answer
    yield start
    for one in running:
        one.close()


@pytest.fixture
def page():
    """The page of metrics of an engine, in its documented form."""
    return lambda name: (PAGES / f"{name}.txt").read_text()


@pytest.fixture(scope="session")
def certificates():
    """A server's side of TLS for 127.0.0.1, and a client's that trusts it."""
    import trustme

    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return SimpleNamespace(server=server, client=client)


@pytest.fixture(scope="session")
def mock_url(tmp_path_factory):
    """The mock engine's address. It is built outside of its folder."""
    if not MOCK.is_file():
        pytest.skip("the mock engine is not beside this checkout (../shared)")
    if shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("no C compiler")
    made = {"MOCK_BUILD_DIR": str(tmp_path_factory.mktemp("mock"))}
    command = [sys.executable, MOCK, "--port", "0", "--ttft-ms", "1", "--itl-ms", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | made) as process:
        first = process.stderr.readline()
        yield next(word.strip(",;") for word in first.split() if word.startswith("http"))
        process.terminate()
