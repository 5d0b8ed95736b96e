"""A page desk without a broker: sources that read an engine, and a link that holds what was published last."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from edged.central.page_sources import PageSources
from edged.core.engine import Engine
from edged.driver import Unreachable


class PublishedBodies:
    """Stands for the link to the broker: ``bodies`` holds the last JSON body of each topic, named without "hall/h/".

    ``up``: the link counts as up at once; else when the test calls ``changed(True, "")``. None: the topic was cleared.
    ``away``: the broker takes nothing.
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
        """The page parts among the bodies, by name ("window/w1")."""
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
    """Sources of a page desk whose facts are the state of ``engine()``; its stamps are hall time in ms, as text."""
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
