"""Authenticates a device that posts, by whichever scheme it supports: token, Basic or Digest.

Sources: RFC 7617 (Basic), RFC 6750 (Bearer), RFC 7616 and, for cameras without ``qop``, RFC 2069 (Digest). A nonce is a
signed time, so nothing is stored per client. Within ``NONCE_S`` seconds an attacker can repeat a recorded request; that
has the effect of a report sent twice. Use HTTPS if other people use the network.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

REALM = "edged"
NONCE_S = 300.0  # real seconds; a camera asks for a fresh one by itself
HEADER_MAX = 2048  # characters of an Authorization header; a Digest takes 400
_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')
_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}
Verdict = Literal["yes", "ask", "stale", "no"]


@dataclass(frozen=True, slots=True)
class Credential:
    """A device's user name and secret."""

    user: str
    secret: str

    def is_token(self, text: str) -> bool:
        """Whether ``text`` is the secret; compared in constant time."""
        return hmac.compare_digest(text.encode(), self.secret.encode())


@dataclass(slots=True)
class PostDoorkeeper:
    """Checks Authorization headers. ``key``: the random bytes with which nonces are signed, new for each process."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def challenges(self, now_s: float, stale: bool = False) -> list[str]:
        """The WWW-Authenticate headers of a 401 answer: Digest, and Basic for devices that cannot do Digest. ``now_s``:
        the present time in seconds of ``edged.clock.monotonic_s``. ``stale``: the client used an expired nonce.
        """
        more = ", stale=true" if stale else ""
        digest = f'Digest realm="{REALM}", qop="auth", algorithm=MD5, nonce="{self._nonce(now_s)}"{more}'
        return [digest, f'Basic realm="{REALM}", charset="UTF-8"']

    def judge(self, header: str, method: str, target: str, credential: Credential, now_s: float) -> Verdict:
        """Check an Authorization header. ``target``: path and query as sent; ``now_s``: the present time in seconds of
        ``edged.clock.monotonic_s``. Returns "yes", "no", "ask" (no credentials were sent) or "stale" (right, but with
        an expired nonce).
        """
        scheme, _, rest = header[: HEADER_MAX + 1].strip().partition(" ")
        if not scheme:
            return "ask"
        if len(header) > HEADER_MAX:
            return "no"
        match scheme.lower():
            case "bearer":
                return "yes" if credential.is_token(rest.strip()) else "no"
            case "basic":
                return "yes" if _basic(rest.strip(), credential) else "no"
            case "digest":
                return self._digest(rest, method, target, credential, now_s)
        return "no"

    def _nonce(self, now_s: float) -> str:
        stamp = f"{int(now_s):x}"
        return f"{stamp}-{hmac.new(self.key, stamp.encode(), hashlib.sha256).hexdigest()[:32]}"

    def _digest(self, rest: str, method: str, target: str, credential: Credential, now_s: float) -> Verdict:
        given = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(rest)}
        algorithm = _ALGORITHMS.get(given.get("algorithm", "MD5").upper())
        stamp, _, _ = given.get("nonce", "").partition("-")
        if algorithm is None or given.get("username") != credential.user or given.get("uri") != target:
            return "no"
        if given.get("qop", "auth") != "auth" or not stamp:
            return "no"

        def hashed(text: str) -> str:
            return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()

        mine = hashed(f"{credential.user}:{REALM}:{credential.secret}")
        nonce = given["nonce"]
        middle = f":{given.get('nc')}:{given.get('cnonce')}:auth" if "qop" in given else ""
        wanted = hashed(f"{mine}:{nonce}{middle}:{hashed(f'{method}:{target}')}")
        if not hmac.compare_digest(wanted.encode(), given.get("response", "").lower().encode()):
            return "no"
        try:
            age_s = now_s - int(stamp, 16)
        except ValueError:
            return "no"
        ours = hmac.compare_digest(self._nonce(int(stamp, 16)).encode(), nonce.encode())
        return "yes" if ours and -1 <= age_s <= NONCE_S else "stale"


def _basic(text: str, credential: Credential) -> bool:
    try:
        user, colon, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return False
    return bool(colon) and user == credential.user and credential.is_token(secret)
