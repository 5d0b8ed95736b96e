"""The application of ``edged web``: which pages it has, and the server that runs it."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from edged import heartbeat
from edged.clock import Clock, Warp, monotonic_s
from edged.config import HallConfig
from edged.config.broker import pages_settings
from edged.links.http.listener import Listener, bind
from edged.links.mqtt.link import MqttLink
from edged.pages import assets, board, days, duty, hall, replay, report
from edged.pages.changes import Streams, changes, parts
from edged.pages.days import RecordedDays
from edged.pages.guard import Guard
from edged.pages.mirror import Mirror
from edged.pages.tickets import TicketPages

PAGES = (hall, board, days, duty, replay, report)  # each module has a function ``routes(pages)``
BEAT_LATE_S = 5.0

log = structlog.get_logger("edged.pages")


@dataclass(slots=True)
class Pages:
    """What every page may use. ``link``: the broker; ``mirror``: the hall's messages; ``files``: the assets."""

    config: HallConfig
    clock: Clock
    link: MqttLink
    mirror: Mirror
    files: dict[str, assets.Asset]
    days: RecordedDays
    streams: Streams = field(default_factory=Streams)
    rejected: Counter[str] = field(default_factory=Counter)

    def shown(self, name: str) -> Callable[[Request], Response]:
        """The endpoint that serves the page file ``name``."""
        return lambda request: assets.answer(self.files[name], request)


def assemble(config: HallConfig, clock: Clock) -> Pages:
    """Make the parts of ``edged web`` without starting them."""
    rejected: Counter[str] = Counter()
    link = MqttLink(pages_settings(config), lambda reason, *_more: rejected.update((reason,)))
    directory = config.pages.directory
    kept = RecordedDays(None if directory is None else Path(directory), clock, config.timezone)
    mirror = Mirror(link, config.hall, clock, kept.record)
    return Pages(config, clock, link, mirror, assets.load(), kept, rejected=rejected)


def application(pages: Pages) -> Guard:
    """The ASGI application with the routes of all pages, inside its ``Guard``."""
    routes: list[BaseRoute] = [route for module in PAGES for route in module.routes(pages)]
    mirror, streams = pages.mirror, pages.streams
    mirror.staff.put("pages", {"duty": any(getattr(route, "path", "") == "/duty" for route in routes)})

    async def file(request: Request) -> Response:
        return assets.answer(pages.files.get(request.path_params["name"]), request)

    async def health(_request: Request) -> Response:
        return JSONResponse(_health(pages))

    routes += [
        Route("/parts", _Endpoint(parts(mirror.staff))),
        Route("/changes", _Endpoint(changes(mirror.staff, streams))),
        Route("/board/parts", _Endpoint(parts(mirror.public))),
        Route("/board/changes", _Endpoint(changes(mirror.public, streams))),
        Route("/files/{name}", file),
        Route("/healthz", health),
    ]
    names = pages.config.pages.names
    return Guard(Starlette(routes=sorted(routes, key=_exact_first)), pages.config.pages.host, names)


class _Endpoint:
    """Marks an ASGI application, which Starlette would otherwise call like a request handler."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def _exact_first(route: BaseRoute) -> bool:
    return isinstance(route, Route) and "{" in route.path


def _health(pages: Pages) -> dict[str, Any]:
    beat_s = pages.mirror.beat_s
    age_s = None if beat_s is None else round(monotonic_s() - beat_s, 1)
    return {
        "state": "ok" if age_s is not None and age_s < BEAT_LATE_S else "stale",
        "broker": pages.link.connected,
        "hall_heard_s_ago": age_s,
        "streams": pages.streams.open,
        "rejected": dict(pages.rejected),
    }


async def serve(config: HallConfig, warp: Warp | None, print_url: Callable[[str], None]) -> None:
    """Serve the pages until SIGTERM, SIGINT or SIGHUP. ``warp``: how hall time runs in a demo, None: as real time does.
    ``print_url`` gets the pages' URL. Raises ``OSError`` if the address cannot be bound.
    """
    table = config.pages
    with ExitStack() as places:
        place = places.enter_context(bind(table.host, table.port))
        pages = assemble(config, Clock(0, warp))
        listeners = [(Listener(application(pages), table.tls_cert_file, table.tls_key_file), place)]
        if table.tickets_port is not None:
            visitors = places.enter_context(bind(table.tickets_host, table.tickets_port))
            app = TicketPages(pages).application()
            listeners.append((Listener(app, table.tls_cert_file, table.tls_key_file, phones=True), visitors))
        print_url(address(table.host, place.getsockname()[1], secure=table.tls_cert_file is not None))
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        async with asyncio.TaskGroup() as tasks:
            link = tasks.create_task(heartbeat.lasting("broker link", pages.link.run()))
            recorder = tasks.create_task(heartbeat.lasting("recorder", pages.days.run()))
            servers = [tasks.create_task(one.serve(sockets=[at])) for one, at in listeners]
            await stopping.wait()
            pages.streams.close()
            for one, _ in listeners:
                one.should_exit = True
            await asyncio.gather(*servers)
            link.cancel()
            recorder.cancel()
            await pages.days.close()


def address(host: str, port: int, secure: bool = False) -> str:
    """The pages' URL for a browser."""
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
