"""A bucket of Google Cloud Storage in a local folder, for tests.

Etils' paths go to it through fsspec, TensorStore's reads and writes by HTTP: a part of
the JSON API, https://cloud.google.com/storage/docs/json_api/v1/objects.
"""

from collections.abc import Iterator
import contextlib
import http.server
import json
import os
from pathlib import Path
import threading
from typing import Any
from unittest import mock
import urllib.parse

import fsspec
from fsspec.implementations.local import LocalFileSystem

_ORBAX = "orbax.checkpoint._src.path.gcs_utils"


@contextlib.contextmanager
def serve(root: Path) -> Iterator[None]:
    """Has gs://NAME lie in `root`/NAME meanwhile; once in a process."""
    handler = type("Handler", (_Handler,), {"root": root})
    server = http.server.ThreadingHTTPServer(("localhost", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["TENSORSTORE_GCS_HTTP_URL"] = f"http://localhost:{server.server_port}"
    os.environ["GOOGLE_AUTH_TOKEN_FOR_TESTING"] = "none"
    files = type("Files", (_Files,), {"root": str(root)})
    fsspec.register_implementation("gcs", files, clobber=True)
    with (
        # TensorFlow's files, where it is installed, and Google's client know no other
        # server.
        mock.patch("etils.epath.gpath._is_tf_installed", return_value=False),
        mock.patch(f"{_ORBAX}.is_hierarchical_namespace_enabled", return_value=False),
        mock.patch("cellrec_jax.workdir.checkpoint._installed", return_value=True),
    ):
        yield
    server.shutdown()
    server.server_close()


class _Files(LocalFileSystem):
    """fsspec's view of the folder."""

    root = ""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.pop("finalize_on_close", None)
        super().__init__(auto_mkdir=True, **kwargs)

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        text = str(path).removeprefix("gs:/").removeprefix("gcs:/")
        inside = text.lstrip("/")
        if f"/{inside}".startswith(cls.root):
            return f"/{inside}"
        return f"{cls.root}/{inside}".rstrip("/")

    def glob(self, path: Any, **kwargs: Any) -> list[str]:
        """As gcsfs: from the bucket on."""
        found = super().glob(path, **kwargs)
        return [str(one).removeprefix(f"{self.root}/") for one in found]


class _Handler(http.server.BaseHTTPRequestHandler):
    """TensorStore's: objects are read, written, listed and deleted."""

    root = Path()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def _file(self) -> tuple[Path, dict[str, list[str]]]:
        """The file of an object, or the folder of its bucket, and the query."""
        parts = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(parts.query)
        _, _, rest = parts.path.partition("/b/")
        bucket, _, name = rest.partition("/o")
        name = (
            urllib.parse.unquote(name.removeprefix("/")) or query.get("name", [""])[0]
        )
        return self.root / bucket / name, query

    def _answer(self, code: int, body: bytes = b"{}", **headers: str) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _of(self, file: Path, name: str) -> dict[str, str]:
        generation = str(file.stat().st_mtime_ns)
        return {
            "name": name,
            "generation": generation,
            "size": str(file.stat().st_size),
        }

    def do_GET(self) -> None:
        """Reads an object, whole or a range, or lists those of a prefix."""
        file, query = self._file()
        if "alt" not in query:
            bucket, prefix = file, query.get("prefix", [""])[0]
            found = [path for path in bucket.rglob("*") if path.is_file()]
            names = {path.relative_to(bucket).as_posix(): path for path in found}
            items = [self._of(p, n) for n, p in sorted(names.items()) if n >= prefix]
            items = [one for one in items if one["name"].startswith(prefix)]
            return self._answer(200, json.dumps({"items": items}).encode())
        if not file.is_file():
            return self._answer(404)
        body, generation = file.read_bytes(), self._of(file, "")["generation"]
        total, code = len(body), 200
        headers = {"x_goog_generation": generation}
        if wanted := self.headers.get("Range"):
            low, _, high = wanted.removeprefix("bytes=").partition("-")
            begin = int(low) if low else total - int(high)
            end = int(high) + 1 if low and high else total
            body, code = body[begin:end], 206
            headers["Content_Range"] = f"bytes {begin}-{begin + len(body) - 1}/{total}"
        return self._answer(code, body, **headers)

    def do_POST(self) -> None:
        """Writes an object."""
        file, _ = self._file()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        self._answer(200, json.dumps(self._of(file, file.name)).encode())

    def do_DELETE(self) -> None:
        """Deletes an object."""
        file, _ = self._file()
        file.unlink(missing_ok=True)
        self._answer(204, b"")
