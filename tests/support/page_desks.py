"""Parts of the daemon around a page desk (which publishes what the hall's pages show), for tests without a broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from edged.central.page_sources import PageSources
from edged.core.engine import Engine
from edged.driver import Unreachable


class PublishedBodies:
    """A stand-in for the link to the broker. ``bodies`` holds the last JSON body published on each topic, named without
    "hall/h/"; None if the topic was cleared.

    ``up``: the link counts as connected at once; otherwise once the test calls ``changed(True, "")``. ``away``:
    publishing fails.
    """

    def __init__(self, *, up: bool = False) -> None:
        self.bodies: dict[str, Any] = {}
        self.changed: Callable[[bool, str], None]
        self._up = up
        self.away = False

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        assert retain
        if self.away:
            raise Unreachable("no connection")
        self.bodies[topic.removeprefix("hall/h/")] = json.loads(payload or b"null")

    def on_state(self, callback: Callable[[bool, str], None]) -> None:
        self.changed = callback
        if self._up:
            callback(True, "")

    @property
    def parts(self) -> dict[str, Any]:
        """The published parts of the pages (messages below "page/"), by name, such as "window/w1"."""
        return {
            topic.removeprefix("page/"): body
            for topic, body in self.bodies.items()
            if topic.startswith("page/")
        }


def page_sources(
    engine: Callable[[], Engine],
    *,
    pushed: Callable[[], dict[str, Any] | None] = lambda: None,
    public_url: str | None = None,
    name_en: str | None = None,
    backlog: int = 0,
    clock: bool = True,
    devices: tuple[str, ...] = (),
) -> PageSources:
    """Sources for a page desk that take all facts from the state of ``engine()``; their time stamps are hall time in
    ms, as text.
    """
    pages = SimpleNamespace(public_url=public_url)
    named = tuple(SimpleNamespace(id=device) for device in devices)
    config: Any = SimpleNamespace(devices=named, timezone="Asia/Shanghai", name_en=name_en, pages=pages)
    return PageSources(
        state=lambda: engine().state,
        config=lambda: config,
        at_ms=lambda: engine().state.at_ms,
        stamp=str,
        backlog=lambda: backlog,
        durable=lambda: True,
        clock=lambda: clock,
        pushed=pushed,
    )
