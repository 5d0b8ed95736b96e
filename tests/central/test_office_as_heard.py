"""What a hall's office says to what the city sends, as text to read: ``office.txt``.

After ``>`` stands what happens: a signed document comes, the clock moves on, the disk fills, the line breaks, the
process starts again. Below it stands everything anybody gets to hear of it: reports and answers on the broker
(``hall/demo/…``), acknowledgements, inputs of the core, what pages and counters are told, alarms, log lines. The core
is the real one. Add a line, rewrite the rest, read the diff:
``TRANSCRIPTS_UPDATE=1 pytest tests/central/test_office_as_heard.py``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import structlog

from edged.central import key_list, operations
from edged.central.audience import epoch_ms
from edged.central.condemned import Condemned
from edged.central.envelope import sign
from edged.central.office import Dependencies, Office
from edged.central.rehearsed import Missed, of_report
from edged.core.model.events import Event, PolicyApplied
from edged.core.model.policy import Policy, Tidal, Trial
from edged.core.model.state import PolicyTrial, State
from edged.driver import Refused, Unreachable
from edged.observer import Step
from edged.store.database import PolicyRow
from edged.store.records import ALONE, Attachments, Policies
from edged.store.uplink import COUNTERS, KEY_LIST, Cursor
from tests.support.core_transcript import _Run
from tests.support.key_lists import NEXT_KEY, ROOT, entry, keys_of, revoked
from tests.support.key_lists import key_list as key_list_document
from tests.support.policies import KEY, KEYS, NOW_MS, OTHER_KEY, document

WRITTEN = Path(__file__).parent / "office.txt"
SIGNERS = {"city": KEY, "next": NEXT_KEY, "stranger": OTHER_KEY, "root": ROOT}
ORDER = {
    "type": "operation",
    "halls": ["demo"],
    "operation": "close",
    "id": "order-1",
    "not_before": "2026-05-28T20:20:00Z",
    "expires": "2026-05-28T21:30:00Z",
    "by": "chen",
    "body": {"window": "w1"},
}


LOG_PROSE = ("event", "log_level", "detail", "effect", "reason", "remedy")  # sentences may change


class Message(SimpleNamespace):
    """What comes from the broker."""

    topic: str
    payload: bytes
    retain: bool
    response_topic: str | None
    ack: Callable[[], None]


class Hall:
    """The office of a hall with the real core. It replaces link, journal and inbox, and records what they are given."""

    epoch, cursor, last_seq = 1, Cursor(0, 0, 0), 0

    def __init__(self) -> None:
        self.transcript: list[str] = []
        self.run = _Run()
        self.now_ms = NOW_MS
        self.durable = self.room = self.up = True
        self.broken = self.failing = self.wire_broken = False
        self.shown = ""
        self.answers_refused = False
        self.slow = False
        self.inbox: list[tuple[Event, Callable[[], None] | None, Attachments]] = []
        self.uncommitted: list[Callable[[], None]] = []
        self.kept: dict[str, str] = {}
        self.high = Policies(None, 0)
        self.roots: Any = keys_of(ROOT)
        self.envelopes: dict[str, bytes] = {}
        self.concerns: dict[str, Any] = {}
        self.condemned = Condemned()
        self.begin()

    def begin(self) -> None:
        self.handlers: dict[str, Callable[[Any], None]] = {}
        self.listeners: list[Callable[[bool, str], None]] = []
        pushes = SimpleNamespace(group="city", rehearse_socket="", root="roots.json")
        store = SimpleNamespace(path="hall.db")
        config: Any = SimpleNamespace(hall="demo", policy=pushes, store=store, site=self.run.hall.site)
        link: Any = self
        given = Dependencies(
            put=self.put,
            wall_ms=lambda: self.now_ms,
            stamp=str,
            reject=lambda reason, detail="": self.transcript.append(f"counted: {reason} ({detail})"),
            state=self.state,
            condemned=self.condemned,
            count_refused=lambda code: self.transcript.append(f"counted: refused {code}"),
            answered=lambda of, body: self.transcript.append(f"page: answer to {of[:8]} {_json(body)}"),
            ahead=lambda why: self.transcript.append(f"ahead: {why}"),
            concern=self.concern,
            silent=False,
        )
        self.office = Office(config, KEYS, link, link, given, self.roots)
        self.office.trust_duty(keys_of(OTHER_KEY), ["close"])
        self.office.start()

    def state(self) -> State:
        if self.failing:
            raise RuntimeError("a bug")
        return self.run.engine.state

    def standing(self) -> list[str]:
        """Return what commands and pages read from the office; empty if nothing has changed since the last call."""
        policies, keys = self.office.policies, self.office.keys
        force = None if policies.in_force is None else policies.in_force[0]
        shown = (
            f"now: policy {force} in force{', expired' if policies.expired else ''},"
            f" waiting {policies.waiting_version},"
            f" left {sorted(policies.left_versions)}, last push {_json(policies.last_push)}, key list {keys.version}"
        )
        lines = [shown] if shown != self.shown else []
        self.shown = shown
        return lines

    # -- the journal --

    @property
    def counters(self) -> str:
        return self.kept.get(COUNTERS, "")

    @property
    def key_list(self) -> str:
        return self.kept.get(KEY_LIST, "")

    def policies(self) -> Policies:
        return self.high

    def on_durable(self, callback: Callable[[bool], None]) -> None: ...

    # -- the link --

    def subscribe(self, topic_filter: str, handler: Callable[[Any], None]) -> None:
        self.handlers[topic_filter] = handler

    def on_state(self, callback: Callable[[bool, str], None]) -> None:
        self.listeners.append(callback)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if not self.up:
            raise Unreachable("no connection")
        if self.wire_broken:
            raise RuntimeError("a bug")
        self.transcript.append(f"{topic}{' retained' if retain else ''} {payload.decode()}")

    def respond(self, request: Message, payload: bytes) -> bool:
        if self.answers_refused:
            raise Refused("not allowed")
        self.publish(str(request.response_topic), payload)
        return True

    # -- the loop --

    def put(
        self, event: Event, ack: Callable[[], None] | None = None, attachments: Attachments = ALONE
    ) -> bool:
        if self.room:
            document = " with its document" if attachments.envelope is not None else ""
            self.transcript.append(f"core: {_event(event)}{document}")
            self.inbox.append((event, ack, attachments))
        return self.room

    def settle(self) -> None:
        """Let the core handle the inbox; its steps are on disk at once unless the scene delays commits."""
        while self.inbox or (self.uncommitted and not self.slow):
            if self.inbox:
                self.handle(*self.inbox.pop(0))
            else:
                self.uncommitted.pop(0)()

    def handle(self, event: Event, ack: Callable[[], None] | None, attachments: Attachments) -> None:
        engine, self.last_seq, self.last = self.run.engine, self.last_seq + 1, event
        harmful = engine.state.trial is not None and engine.state.trial.harmful
        commands, notes = engine.handle(engine.state.at_ms, event)
        if isinstance(event, PolicyApplied) and harmful:
            engine.state.trial = None
        self.transcript += [f"  # {note.kind} {note.subject}" for note in notes]
        step = Step(self.last_seq, engine.state.at_ms, event, commands, notes)
        for observer in self.office.observers:
            observer.step(step, 0.0)

        def committed() -> None:
            if attachments.envelope is not None:
                assert isinstance(event, PolicyApplied)
                row = PolicyRow(event.version, event.sha256, attachments.envelope, step.seq, step.at_ms)
                self.high = self.high.after(row)
            if attachments.line is not None:
                self.kept[attachments.line.key] = attachments.line.value
            if ack is not None:
                ack()

        self.uncommitted.append(committed)

    def concern(self, alarm: str, present: Any) -> None:
        if dict(present) != self.concerns.get(alarm, {}):
            self.transcript.append(f"alarm {alarm}: {_json(dict(present))}")
        self.concerns[alarm] = dict(present)

    # -- what happens --

    def come(self, kind: str, text: str) -> None:
        """A document comes: ``[signer] [to TOPIC] [again] JSON``; ``again``: as it came before."""
        words, brace, body = text.partition("{")
        transcript = words.split()
        own = next((word for word in transcript if word in SIGNERS), "root" if kind == "keys" else "city")
        changes = json.loads(brace + body) if brace else {}
        raw = b"rubbish" if "rubbish" in transcript else self.signed(kind, changes, own)
        if kind == "appointment":
            raw = (brace + body).encode()
        topic = {
            "policy": "hall/demo/policy/push",
            "keys": "hall/demo/keys/push",
            "appointment": "hall/demo/appointments",
        }.get(kind)
        if topic is None:
            topic = f"hall/demo/ops/{changes.get('operation', 'close')}"
        if "to" in transcript:
            topic = transcript[transcript.index("to") + 1]
        answer = next((word for word in transcript if "answer" in word), None)
        message = Message(
            topic=topic,
            payload=raw,
            retain="retained" in transcript,
            response_topic=answer,
            ack=lambda: self.transcript.append("acknowledged"),
        )
        pattern = "hall/demo/ops/+" if topic.startswith("hall/demo/ops/") else topic
        self.failing = self.broken
        self.handlers[pattern](message)
        self.failing = False

    def signed(self, kind: str, changes: dict[str, Any], signer: str) -> bytes:
        if kind == "policy":
            payload, of = document(**({"body": {}} | changes)), "application/vnd.edged.policy+json"
        elif kind == "order":
            payload, of = ORDER | {"counter": 1} | changes, operations.PAYLOAD_TYPE
        else:
            payload, of = key_list_document(1) | self.listed(changes), key_list.PAYLOAD_TYPE
        return sign(json.dumps(payload).encode(), of, SIGNERS[signer])

    @staticmethod
    def listed(changes: dict[str, Any]) -> dict[str, Any]:
        own = {"keys": lambda one: entry(SIGNERS[one.pop("of", "city")]) | one}
        own["revoked"] = lambda one: revoked(SIGNERS[one.pop("of", "city")]) | one
        return changes | {name: [own[name](one) for one in changes[name]] for name in own if name in changes}

    def line(self, text: str) -> None:
        first, _, rest = text.partition(" ")
        match first:
            case "policy" | "order" | "keys" | "appointment":
                self.come(first, rest)
            case "at":
                self.now_ms = epoch_ms(rest)
                self.office.policies.check()
                self.office.keys.check()
            case "step":
                self.office.policies.step(Step(self.last_seq, 0, PolicyApplied(0, "", None), (), ()), 0.0)  # type: ignore[arg-type]
            case "disk":
                self.durable = rest == "ok"
            case "inbox":
                self.room = rest == "ok"
            case "commits":
                self.slow = rest == "later"
            case "program":
                self.broken = rest == "buggy"
            case "crash":
                self.uncommitted.clear()
                self.condemned.crashed(self.last)
            case "answers":
                self.answers_refused = rest == "refused"
            case "line":
                self.up, self.wire_broken = rest == "up", rest == "buggy"
                if self.wire_broken:
                    self.up = True
                    return
                for listener in self.listeners:
                    listener(self.up, "")
            case "harmful":
                good = self.high.earlier(self.high.last_good.version) if self.high.last_good else None
                version, sha256 = (
                    (0, "") if good is None or rest == "built-in" else (good.version, good.sha256)
                )
                sha256 = "f" * 64 if rest == "lost" else sha256
                trial = PolicyTrial(version, sha256, Trial(), Tidal(), harmful=True)
                self.run.engine.state.trial = replace(trial, waited_s=1300, limit_s=600)
            case "rehearsals":
                self.office.policies._rehearse = (
                    self.rehearse if rest == "work" else lambda *_: Missed(missed=rest)
                )
            case "rehearsed":
                self.done(of_report(json.loads(rest)))
            case "roots":
                self.roots = {"unreadable": None, "none": {}, "ok": keys_of(ROOT), "next": keys_of(NEXT_KEY)}[
                    rest
                ]
                self.office.trust(KEYS, self.roots)
            case "hall":
                self.run.hall.change(rest)
                self.office.serve(self.run.hall.site)
            case "safe":  # the core goes on by the built-in policy
                state = self.run.engine.state
                state.put_aside, state.policy = state.policy, Policy()
            case "kept":  # the journal holds something else than was written
                name, _, value = rest.partition(" ")
                self.kept[{"orders": COUNTERS, "keys": KEY_LIST}[name]] = value
            case "restart":
                self.office.stop()
                self.begin()
            case _:
                raise AssertionError(text)

    def rehearse(self, policy: bytes, in_force: bytes, days: int, done: Callable[[Any], None]) -> None:
        self.transcript.append(
            f"rehearsal asked: {days} days, in force {'the built-in policy' if not in_force else 'another'}"
        )
        self.done = done


def _event(event: Event) -> str:
    if isinstance(event, PolicyApplied):
        return f"policy {event.version} {event.sha256} pushed={event.pushed} order={event.order!r}"
    return repr(event)


def _json(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False)


def _log(line: Any) -> str:
    rest = {name: value for name, value in line.items() if name not in LOG_PROSE}
    return f"log {line['log_level']} {line['event']} {json.dumps(rest, ensure_ascii=False, default=str)}"


def test_every_output_of_the_office_after_each_step_is_as_recorded() -> None:
    text = WRITTEN.read_text()
    hall: Hall | None = None
    written: list[str] = []
    with structlog.testing.capture_logs() as logs:
        for line in text.splitlines():
            if line.startswith("-- "):
                hall = Hall()
                logs.clear()
                written += ["", line] if written else [line]
            if not line.startswith("> "):
                continue
            assert hall is not None
            hall.transcript.clear()
            hall.line(line[2:])
            hall.settle()
            lines = [*hall.transcript, *map(_log, logs), *hall.standing()]
            logs.clear()
            written += [
                line,
                *(f"  {re.sub('[0-9a-f]{64}', lambda found: found[0][:8], one)}" for one in lines),
            ]
    found = "\n".join(written) + "\n"
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        WRITTEN.write_text(found)
    assert found == text
