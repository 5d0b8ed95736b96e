"""Turns rows of another queue system into messages of the follow contract (configs/asyncapi.yaml, kind "queue"); no
I/O.

Delivery is at least once: messages are stored with their ``seq`` before the first is sent; after a restart the stored
ones are sent again with the same numbers, and the hall ignores those it has. Only the columns named in bridge.toml are
read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edged.bridge.settings import BridgeSettings, ReportTable
from edged.personal import names_a_person

SEEN_MAX = 2000  # rows remembered as already reported
LISTED_MAX = 999  # numbers of one service in a message: the contract's limit
ROWS_MAX = 500  # of one kind, in one read
_NUMBER = re.compile(r"[0-9A-Za-z-]{1,12}\Z")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
Key = int | datetime
Row = dict[str, Any]


@dataclass
class BridgeProgress:
    """The state of a bridge: how far the other queue system has been read, and which messages the broker has not
    acknowledged. ``boot``: random id of this state. If the state file is lost, a new id shows the hall that ``seq``
    starts again.
    """

    boot: str
    seq: int = 0
    after: dict[str, Key] = field(default_factory=dict)  # by kind: the newest key
    seen: dict[str, list[str]] = field(default_factory=dict)  # by kind: rows of the overlap, as texts
    pending: list[tuple[str, str]] = field(default_factory=list)  # (topic suffix, payload) unacknowledged
    told: dict[str, str] = field(default_factory=dict)  # by service or window: the state sent last

    def to_json(self) -> str:
        """The JSON that is stored on disk."""
        after = {kind: _key_text(key) for kind, key in self.after.items()}
        return json.dumps({**self.__dict__, "after": after}, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> BridgeProgress:
        """Parse what ``to_json`` wrote. Raises ``ValueError`` if the text is something else."""
        try:
            fields = json.loads(text)
            after = {kind: _key_of(key) for kind, key in fields.pop("after").items()}
            pending = [(str(word), str(payload)) for word, payload in fields.pop("pending")]
            return BridgeProgress(**fields, after=after, pending=pending)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no state of a bridge: {error}") from None


@dataclass
class Oddities:
    """Counts the rows of the other queue system that could not be reported to the hall; ``last``: the reason for the
    last of them.
    """

    count: int = 0
    last: str = ""

    def note(self, why: str) -> None:
        """Count one more row that could not be reported. ``why``: the reason, kept as ``last``."""
        self.count, self.last = self.count + 1, why


def floor(progress: BridgeProgress, kind: str, overlap: int) -> Key | None:
    """The key from which rows are read again (the newest minus ``overlap``); None if nothing was read yet."""
    after = progress.after.get(kind)
    if after is None:
        return None
    return after - overlap if isinstance(after, int) else after - timedelta(seconds=overlap)


def mark(row: Row) -> str:
    """A text that identifies a row by its content, to recognise it when it is read again."""
    return json.dumps(row, default=str, ensure_ascii=False, sort_keys=True)


def take(
    progress: BridgeProgress, kind: str, rows: list[Row], settings: BridgeSettings, odd: Oddities
) -> int:
    """Add messages for those of ``rows`` (in order of their key) that were not read before to ``progress.pending``.
    Returns how many rows were new. Rows that cannot be reported are counted in ``odd``.
    """
    report = settings.reports()[kind]
    assert report.key is not None
    known = dict.fromkeys(progress.seen.get(kind, ()))
    new = 0
    for row in rows:
        key, one = row.get(report.key), mark(row)
        if not isinstance(key, Key) or isinstance(key, bool):
            odd.note(f"{kind}: the key {report.key} is neither a whole number nor a time")
            continue
        if one in known:
            continue
        known[one] = None
        new += 1
        before = progress.after.get(kind)
        if before is None or key > before:  # type: ignore[operator]
            progress.after[kind] = key
        _put(progress, kind, report, row, settings, odd)
    progress.seen[kind] = list(known)[-SEEN_MAX:]
    return new


def take_whole(
    progress: BridgeProgress, kind: str, rows: list[Row], settings: BridgeSettings, odd: Oddities
) -> None:
    """Add a message for each service (``kind`` "waiting": who waits) or each window ("staff": whether somebody is
    there) whose content differs from the last one sent. ``rows``: the whole list.
    """
    report = settings.reports()[kind]
    if kind == "waiting":
        assert report.service is not None
        assert report.number is not None
        lists: dict[str, list[str]] = {service: [] for service in settings.services.values()}
        for row in rows:
            service = _mapped(row.get(report.service), settings.services)
            number = _number(row.get(report.number))
            if service is None or number is None:
                odd.note("waiting: a number or service that the contract does not take")
            elif len(lists.setdefault(service, [])) < LISTED_MAX:
                lists[service].append(number)
        for service, numbers in lists.items():
            _put_if_changed(progress, "queue", f"queue/{service}", {"service": service, "waiting": numbers})
        return
    assert report.window is not None
    assert report.staffed is not None
    for row in rows:
        window = _mapped(row.get(report.window), settings.windows)
        if window is None:
            odd.note("staff: a window that the contract does not take")
        else:
            staffed = str(row.get(report.staffed)).strip().lower() in ("1", "true", "t", "y", "yes")
            _put_if_changed(progress, "window", f"window/{window}", {"window": window, "staffed": staffed})


def _put_if_changed(progress: BridgeProgress, word: str, place: str, fields: dict[str, Any]) -> None:
    level = json.dumps(fields, sort_keys=True)
    if progress.told.get(place) != level:
        progress.told[place] = level
        _send(progress, word, fields)


def _put(
    progress: BridgeProgress,
    kind: str,
    report: ReportTable,
    row: Row,
    settings: BridgeSettings,
    odd: Oddities,
) -> None:
    number = None if report.number is None else _number(row.get(report.number))
    service = None if report.service is None else _mapped(row.get(report.service), settings.services)
    window = None if report.window is None else _mapped(row.get(report.window), settings.windows)
    fields: dict[str, Any] = {"number": number, "service": service, "window": window}
    needed = {"tickets": ("number", "service"), "calls": ("number", "window"), "ends": ("window",)}[kind]
    if any(fields[one] is None for one in needed):
        odd.note(
            f"{kind}: {', '.join(one for one in needed if fields[one] is None)} not as the contract takes it"
        )
        return
    if kind == "tickets":
        del fields["window"]
    if kind == "ends":
        del fields["service"]
        word = "served" if report.outcome is None else str(row.get(report.outcome))
        fields["outcome"] = settings.outcomes.get(word, "served")
    words = {"tickets": "ticket", "calls": "call", "ends": "end"}
    _send(progress, words[kind], {name: value for name, value in fields.items() if value is not None})


def _send(progress: BridgeProgress, word: str, fields: dict[str, Any]) -> None:
    progress.seq += 1
    payload = json.dumps({"seq": progress.seq, "boot": progress.boot, **fields}, ensure_ascii=False)
    progress.pending.append((word, payload))


def _number(value: object) -> str | None:
    text = "" if value is None else str(value).strip()
    return text if _NUMBER.match(text) and not names_a_person(text) else None


def _mapped(value: object, table: dict[str, str]) -> str | None:
    """Return the hall's id for ``value``, a word of the other system. A word that is not in ``table`` is returned in
    lower case; the hall raises an alarm if it has no such id. None if the word cannot be an id or looks like a person's
    name.
    """
    text = "" if value is None else str(value).strip()
    found = table.get(text, text.lower())
    return found if _ID.match(found) and not names_a_person(found) else None


def _key_text(key: Key) -> int | str:
    return key if isinstance(key, int) else key.isoformat()


def _key_of(value: object) -> Key:
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    raise ValueError("a key is a whole number or a time")


def keys(rows: Iterable[Row], column: str) -> list[Key]:
    """The keys in a column of ``rows``."""
    return [key for row in rows if isinstance(key := row.get(column), Key)]
