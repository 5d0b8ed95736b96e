"""Polls a device by GET without burdening it: with conditional requests (ETag, Last-Modified), more slowly if it asks
for that (Retry-After), and without following redirects.

Blocking: call it in a thread. Sources: RFC 9110 (13.1 conditional requests, 10.2.3 Retry-After); RFC 7616 and 7617 by
Python's own handlers.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from edged.driver import Garbled, Refused, Unreachable
from edged.links.http.credentials import Credential
from edged.links.losses import loss_of

ANSWER_S = 5.0  # real seconds
BYTES_MAX = 64 * 1024
PATIENCE_MAX_S = 300.0  # longer than that a counter is not left alone, whatever it asks for
REFUSED_S = 60.0  # a device locks an account that is tried too often


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_anything: Any) -> None:
        return None


@dataclass(slots=True)
class HttpQuestion:
    """A URL that is polled, with the validators (ETag, Last-Modified) of its last answer. ``wait_s``: seconds until it
    may be polled again; 0: at the usual time.
    """

    url: str
    credential: Credential
    etag: str = ""
    modified: str = ""
    wait_s: float = 0.0

    def ask(self) -> bytes | None:
        """Poll once. Returns the body, or None if it has not changed since the last poll. Raises a ``DeviceError`` for
        no answer, an error status or a redirect.
        """
        request = urllib.request.Request(self.url, headers=self._known())  # noqa: S310 - checked by ``address``
        self.wait_s = 0.0
        try:
            with self._opener().open(request, timeout=ANSWER_S) as answer:
                body = bytes(answer.read(BYTES_MAX + 1))
                self.etag = str(answer.headers.get("ETag", ""))
                self.modified = str(answer.headers.get("Last-Modified", ""))
        except urllib.error.HTTPError as error:
            error.close()
            self._judge(error)
            return None
        except urllib.error.URLError as error:
            reason = error.reason if isinstance(error.reason, OSError) else error
            loss = loss_of(reason)
            raise Unreachable(loss.detail, loss.word) from None
        except OSError as error:
            loss = loss_of(error)
            raise Unreachable(loss.detail, loss.word) from None
        except (HTTPException, ValueError) as error:
            raise Garbled(type(error).__name__) from None
        if len(body) > BYTES_MAX:
            raise Garbled("too_large")
        return body

    def _known(self) -> dict[str, str]:
        known = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in known.items() if value}

    def _opener(self) -> urllib.request.OpenerDirector:
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, self.url, self.credential.user, self.credential.secret)
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPDigestAuthHandler(passwords),
            urllib.request.HTTPBasicAuthHandler(passwords),
            _Stay(),
        )

    def _judge(self, error: urllib.error.HTTPError) -> None:
        """Return for 304 (not changed); raise a ``DeviceError`` for any other status."""
        if error.code == 304:
            return
        self.etag = self.modified = ""
        if error.code in (401, 403):
            self.wait_s = REFUSED_S
            raise Refused(f"HTTP {error.code}: user or password is wrong", "access-refused")
        after = str(error.headers.get("Retry-After", ""))
        if error.code in (429, 503):
            asked_s = float(after) if after.isascii() and after.isdecimal() and len(after) < 6 else REFUSED_S
            self.wait_s = min(asked_s, PATIENCE_MAX_S)
        raise Garbled(f"HTTP {error.code}")


def address(url: str) -> str:
    """Check that ``url`` is an http or https address without credentials, and return it. Raises ``ValueError`` if it is
    not.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(char <= " " or char > "~" for char in url):
        raise ValueError(f'"{url}" is no http:// or https:// address')
    if parts.username or parts.password:
        raise ValueError("user and password do not belong into the address; write username and secret_file")
    return url
