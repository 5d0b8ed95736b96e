"""The pages' files, kept in memory and compressed: few and small, so that no request waits for the disk."""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """One file: its media type, its bytes, the same compressed, and its ETag."""

    kind: str
    plain: bytes
    packed: bytes
    mark: str


def load(package: str = "edged.pages", folder: str = "files") -> dict[str, Asset]:
    """Every file in ``folder`` of ``package`` that has one of the endings in ``KINDS``, by name."""
    found = {}
    for one in files(package).joinpath(folder).iterdir():
        kind = KINDS.get(one.name[one.name.rfind(".") :])
        if kind is not None:
            plain = one.read_bytes()
            packed = gzip.compress(plain, 9, mtime=0)
            found[one.name] = Asset(kind, plain, packed, f'"{hashlib.sha256(plain).hexdigest()[:20]}"')
    return found


def answer(asset: Asset | None, request: Request) -> Response:
    """The response with ``asset``; 304 if the browser has it already, 404 for None."""
    if asset is None:
        return PlainTextResponse("Not Found\n", 404)
    headers = {"ETag": asset.mark, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if asset.mark in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.kind)
    return Response(asset.plain, headers=headers, media_type=asset.kind)
