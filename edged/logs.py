"""Logs: JSON lines for machines, coloured ones for a person at a terminal; on stderr (stdout is for commands' results).

Rules: one line for each step (an event and what the core did with it) that sent commands to devices. In a flood of
steps only some lines are written, which say how many were left out; the daemon's own journal (``edged/store``) has all
steps. One line for each change of a link, never for each attempt to connect. Nothing by which a visitor could be
recognised: announcements and arguments of keys are not logged, and long runs of digits are masked in all other texts.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO

import msgspec
import structlog

from edged import clock
from edged.core.model.commands import Desired, WindowSummary
from edged.journald import NativeJournal, fields_of
from edged.log_writer import LogWriter
from edged.observer import Observer, Step
from edged.personal import masked

LAST_S = 0.5  # for the last lines of a process: systemd kills the unit after ten seconds
LINES_BURST = 100.0  # step lines at once: a minute of a busy hall
LINES_PER_S = 10.0  # step lines per second in the long run: ten times a busy hall
REFUSALS_BURST = 20.0  # lines about refused documents at once: somebody at the centre is trying something
REFUSALS_PER_S = 0.1  # per second in the long run; the rest is only counted
TEXT_MAX_CHARS = 500  # a device's error text; longer ones are cut, so that a log line fits one journal field
# syslog levels understood by journald as a "<n>" prefix (sd-daemon(3))
_SYSLOG = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

_EventDict = MutableMapping[str, Any]


def configure(
    level: str = "INFO", stream: TextIO | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Set up logging of this program (structlog) and of its libraries. ``level``: the least severe level that is
    logged. ``stream``: by default stderr, to which a thread writes. ``environ``: tells whether ``stream`` goes to
    journald.
    """
    global _writer
    out = sys.stderr if stream is None else stream
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _mask,
    ]
    journald = _is_journal(out, environ)
    renderers: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if out.isatty():
        renderers += [_stamp, structlog.dev.ConsoleRenderer(sort_keys=False)]
    else:
        renderers += [structlog.processors.format_exc_info, _mask, *([] if journald else [_stamp])]
        renderers.append(structlog.processors.JSONRenderer(ensure_ascii=False, default=str))
        renderers += [_prefix_level] if journald else []
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=renderers)
    native = NativeJournal() if journald else None
    threaded = stream is None and _has_descriptor(out)
    _writer = LogWriter(out.fileno(), journald, native=native) if threaded else None
    handler = _Lines(out, None if out.isatty() else not journald, _writer)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries log only when something is wrong
    for ours in ("edged", "devices"):
        logging.getLogger(ours).setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def lost() -> int:
    """How many log lines of this process were dropped."""
    return 0 if _writer is None else _writer.lost


def say(text: str) -> None:
    """Write a text for a person to stderr, as it is; it appears after the log lines queued before it."""
    if _writer is None:
        sys.stderr.write(text)
    else:
        _writer.put(text.encode("utf-8", "replace"))


def drain() -> None:
    """Write out the last log lines of a process, waiting at most ``LAST_S`` seconds."""
    if _writer is not None:
        _writer.drain(LAST_S)


def stamp_with(stamp: Callable[[], str]) -> None:
    """Use ``stamp`` for the time in log lines from now on. It returns the hall's time as text."""
    global _now
    _now = stamp


class _Lines(logging.StreamHandler[TextIO]):
    """The only log handler: formats lines and writes them. ``json_stamped``: None for coloured lines, True for JSON
    with a time, False for JSON without (journald adds it).
    """

    def __init__(self, out: TextIO, json_stamped: bool | None, writer: LogWriter | None) -> None:
        super().__init__(out)
        self._json_stamped = json_stamped
        self._writer = writer
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def put(
        self, name: str, event: str, fields: dict[str, Any], things: Callable[[], dict[str, list[str]]]
    ) -> bool:
        """Write an INFO line of logger ``name``, at a quarter of the cost of structlog's processors. Returns False, and
        writes nothing, if lines are coloured: then use structlog.

        ``things``: a function that returns ids of windows, areas and tickets for journald's fields; it is called only
        if the log goes to journald.
        """
        if self._json_stamped is None:
            return False
        line = {key: _masked(value) for key, value in fields.items()}
        line |= {"event": event, "level": "info", "logger": name}
        if self._json_stamped:
            _stamp(None, "info", line)
        data = self._encode(line)
        if self._writer is not None:
            if self._json_stamped:
                self._writer.put(b"%b\n" % data)
            else:
                self._writer.put(b"<6>%b\n" % data, fields_of(line | things()))
            return True
        text = data.decode()
        self.acquire()
        try:
            self.stream.write(f"{text}\n" if self._json_stamped else f"<6>{text}\n")
            self.stream.flush()
        except (OSError, ValueError):  # as in the logging module: a log that cannot be written stops nothing
            return True
        finally:
            self.release()
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Format and write a record, from structlog or from a library; see ``logging.Handler``."""
        if self._writer is None:
            super().emit(record)
            return
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "replace")
            about = record.msg if isinstance(record.msg, dict) and self._json_stamped is False else {}
            self._writer.put(line, fields_of({**about, "logger": record.name}) if about else b"")
        except Exception:  # noqa: BLE001 - as logging itself: a line that cannot be worded stops nothing
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Replace a record that cannot be formatted by a short line. The base class's method would write to the very
        stream that may be blocked.
        """
        if self._writer is None:
            super().handleError(record)
        else:
            self._writer.put(f"a log line of {record.name} could not be worded\n".encode())


class Allowance:
    """A rate limit for one kind of log lines: ``burst`` lines without a pause, and ``per_s`` lines a second in the long
    run.
    """

    def __init__(self, burst: float, per_s: float, now_s: Callable[[], float] = clock.monotonic_s) -> None:
        self._burst = burst
        self._per_s = per_s
        self._now_s = now_s
        self._room = burst
        self._filled_s = now_s()
        self._left_out = 0

    def take(self) -> dict[str, int] | None:
        """Ask whether one line may be written. Returns None if it must be dropped; otherwise a field for that line:
        ``left_out``, how many lines were dropped since the last one that was written (no field if none was).
        """
        now_s = self._now_s()
        self._room = min(self._burst, self._room + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s
        if self._room < 1:
            self._left_out += 1
            return None
        self._room -= 1
        left_out, self._left_out = self._left_out, 0
        return {"left_out": left_out} if left_out else {}


class StepLog(Observer):
    """Observer that logs one line for each step in which the core sent commands to devices. The line has the reasons
    (``notes``), and how many commands of each kind were sent.

    Writing a line costs more than the decision itself, and journald drops floods. So at most ``LINES_BURST`` lines are
    written at once and ``LINES_PER_S`` in the long run; ``left_out`` in a line says how many were dropped before it.
    """

    def __init__(self, now_s: Callable[[], float] = clock.monotonic_s) -> None:
        self._log = structlog.get_logger("edged.step")
        self._level = logging.getLogger("edged.step")
        self._allowance = Allowance(LINES_BURST, LINES_PER_S, now_s)

    def step(self, step: Step, decision_s: float) -> None:
        """Log ``step`` if it has commands and the rate limit allows a line. ``decision_s``: seconds that the core
        needed.
        """
        if not step.commands or not self._level.isEnabledFor(logging.INFO):
            return
        left_out = self._allowance.take()
        if left_out is None:
            return
        kinds: dict[str, int] = {}
        for command in step.commands:
            kind = command.value.kind if isinstance(command, Desired) else command.body.kind
            kinds[kind] = kinds.get(kind, 0) + 1
        fields = {
            "seq": step.seq,
            "at_ms": step.at_ms,
            "input": type(step.event).__name__,
            "point": getattr(step.event, "point", None),
            "key": getattr(step.event, "key", None),
            "notes": [f"{note.kind} {note.subject}" for note in step.notes],
            "commands": dict(sorted(kinds.items())),
            "decision_ms": round(decision_s * 1000, 3),
            **left_out,
        }
        handler = next((one for one in logging.getLogger().handlers if isinstance(one, _Lines)), None)
        if handler is None or not handler.put("edged.step", "step", fields, lambda: things_of(step)):
            self._log.info("step", **fields)


def things_of(step: Step) -> dict[str, list[str]]:
    """Return the ids of windows, areas and tickets that a step is about, under the keys ``windows``, ``areas`` and
    ``tickets``: those in its event and its notes, and the windows whose state changed.
    """
    found: dict[str, dict[str, None]] = {"windows": {}, "areas": {}, "tickets": {}}
    facts: list[tuple[str, object]] = [(kind, getattr(step.event, kind, None)) for kind in ("window", "area")]
    for note in step.notes:
        noun = note.kind.partition(".")[0]
        if noun == "tidal":  # subject: a window, with its area in the data; or an area
            noun = "window" if "area" in note.data else "area"
        facts += [(noun, note.subject), *note.data.items()]
    for command in step.commands:
        if isinstance(command, Desired) and isinstance(command.value, WindowSummary):
            facts.append(("window", command.value.window))
    for kind, value in facts:
        if f"{kind}s" in found and isinstance(value, str):
            found[f"{kind}s"][value] = None
    return {kind: list(values) for kind, values in found.items()}


def _mask(_logger: Any, _method: str, event: _EventDict) -> _EventDict:
    """A structlog processor: cuts long texts and masks digits that could be a personal number, in all values of a line
    at any depth.
    """
    for key, value in event.items():
        if not key.startswith("_"):
            event[key] = _masked(value)
    return event


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        whole = value[:TEXT_MAX_CHARS]
        if not whole.isascii():
            whole = whole.encode("utf-8", "replace").decode()  # lone surrogates cannot be encoded
        return masked(whole)
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return value


def _stamp(_logger: Any, _method: str, event: _EventDict) -> _EventDict:
    """A structlog processor: adds the time to a line, the hall's once it is known (``stamp_with``), before that UTC."""
    event["at"] = _now()
    return event


def _prefix_level(_logger: Any, method: str, line: str) -> str:
    return f"<{_SYSLOG.get(method, 6)}>{line}"


def _utc() -> str:
    return clock.rfc3339(clock.wall_ms(), "UTC")


def _has_descriptor(stream: TextIO) -> bool:
    try:
        return stream.fileno() >= 0
    except (OSError, ValueError, AttributeError):
        return False


_writer: LogWriter | None = None
_now: Callable[[], str] = _utc


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Does ``stream`` go to journald? It does if it is the stream whose "device:inode" systemd put into JOURNAL_STREAM
    (systemd.exec(5)).
    """
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream without a descriptor
        return False
    return environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"
