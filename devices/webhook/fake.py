"""A fake vendor's server with its own signature check, which counts messages and has faults on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

VendorMood = Literal["well", "refuses", "busy", "broken", "portal", "moved"]
MESSAGES_MAX = 10_000  # remembered


class FakeVendor:
    """A simulated vendor's server. ``texts``: the messages that it accepted. ``secret``: the key with which every
    message must be signed; None: signatures are not checked. ``limit``: how many messages it accepts; it answers every
    further one with the vendor's error for too many messages.
    """

    def __init__(self, vendor: str, secret: str | None = None, limit: int = 1_000_000) -> None:
        self.texts: list[str] = []
        self.at: list[list[str]] = []
        self.wrong_signatures = 0
        self.asked = 0
        self.mood: VendorMood = "well"
        self._vendor, self._secret, self.limit = vendor, secret, limit
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The robot's URL, as a technician writes it into ``url_file``."""
        return f"http://127.0.0.1:{self.port}/robot/send?key=k-1"

    def start(self) -> None:
        """Start to listen; after ``stop``, on the same port as before."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = fake.answer(self.path, json.loads(body))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:9/stolen")
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_args: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Close the server's port; ``start`` opens it again."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """Return the HTTP status and body with which the vendor answers a POST of ``body`` to ``path``."""
        self.asked += 1
        code, words = ("code", "msg") if self._vendor == "feishu" else ("errcode", "errmsg")
        if self.mood == "broken":
            return 502, b"<html>bad gateway</html>"
        if self.mood == "portal":
            return 200, b"<html>log in to this network</html>"
        if self.mood == "moved":
            return 302, b""
        if self.mood == "refuses":
            return 200, json.dumps({code: 93000, words: "invalid webhook url"}).encode()
        if self._secret is not None and not self._signed(path, body):
            self.wrong_signatures += 1
            return 200, json.dumps(
                {code: 19021 if code == "code" else 310000, words: "sign not match"}
            ).encode()
        if self.mood == "busy" or len(self.texts) >= self.limit:
            late = {"wecom": 45009, "dingtalk": 130101, "feishu": 9499}[self._vendor]
            return 200, json.dumps({code: late, words: "too many"}).encode()
        content = body["content"]["text"] if self._vendor == "feishu" else body["text"]["content"]
        self.texts = [*self.texts, content][-MESSAGES_MAX:]
        called = (
            body.get("at", {}).get("atMobiles") or body.get("text", {}).get("mentioned_mobile_list") or []
        )
        self.at.append(called)
        return 200, json.dumps({code: 0, words: "ok"}).encode()

    def _signed(self, path: str, body: dict[str, Any]) -> bool:
        secret = (self._secret or "").encode()
        if self._vendor == "feishu":
            key, message, given = f"{body.get('timestamp')}\n".encode() + secret, b"", str(body.get("sign"))
        else:
            query = parse_qs(urlsplit(path).query)
            key, message = secret, f"{query.get('timestamp', [''])[0]}\n".encode() + secret
            given = query.get("sign", [""])[0]
        return hmac.compare_digest(
            base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode(), given
        )
