"""Reads rows of another queue system: SQL through SQLAlchemy, or JSON over HTTP. It blocks: the bridge calls it in a
thread.

It never writes: all statements are SELECTs built from configured names, in a read-only transaction if the database
offers one. Nevertheless give its account SELECT on the views and nothing else.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime
from http.client import HTTPException
from typing import Any, Literal, Protocol
from urllib.parse import urljoin, urlsplit

from edged.bridge.messages import LISTED_MAX, ROWS_MAX, Key, Row
from edged.bridge.settings import ReportTable

HTTP_S = 5.0  # real seconds for one answer
HTTP_BYTES_MAX = 1 << 20
WHOLE_ROWS_MAX = 20 * LISTED_MAX
READ_ONLY = {  # what makes a transaction refuse to write, by dialect; Oracle's must be the first statement, too
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "START TRANSACTION READ ONLY",
    "mariadb": "START TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
}


class SourceAway(Exception):
    """The other system cannot be read now. The text contains no password."""


class Source(Protocol):
    """Reads the rows of a report. Every method raises ``SourceAway`` if the other system does not answer or its answer
    cannot be read.
    """

    def rows(self, report: ReportTable, floor: Key | None) -> list[Row]:
        """At most ``ROWS_MAX`` rows in order of their key, from key ``floor`` (included) on; None: from the first."""

    def newest(self, report: ReportTable) -> list[Row]:
        """The row with the greatest key in a list; [] if there is no row."""

    def whole(self, report: ReportTable) -> list[Row]:
        """All rows, sorted by ``report.order``."""


def columns(report: ReportTable) -> list[str]:
    """The columns to read: those that bridge.toml names, so that visitors' names are never read."""
    names = (
        *(report.key, report.number, report.service, report.window),
        *(report.outcome, report.staffed, report.order),
    )
    return list(dict.fromkeys(name for name in names if name is not None))


def statement(
    report: ReportTable, which: Literal["from", "newest", "whole"], floor: Key | None = None
) -> Any:
    """The SELECT for one read as an SQLAlchemy expression. ``which``: rows from ``floor`` on, the newest row, or all
    rows.
    """
    from sqlalchemy import column, select, table

    schema, _, name = report.view.rpartition(".")
    view = table(name, *(column(one) for one in columns(report)), schema=schema or None)
    if which == "whole":
        ordered = [] if report.order is None else [view.c[report.order]]
        return select(*view.c).order_by(*ordered).limit(WHOLE_ROWS_MAX)
    assert report.key is not None
    key = view.c[report.key]
    if which == "newest":
        return select(*view.c).order_by(key.desc()).limit(1)
    query = select(*view.c).order_by(key).limit(ROWS_MAX)
    return query if floor is None else query.where(key >= floor)


class SqlSource:
    """A ``Source`` that reads a database. ``url`` in SQLAlchemy's form: ``postgresql+psycopg://…``,
    ``mysql+pymysql://…``.
    """

    def __init__(self, url: str) -> None:
        """Prepare the engine; no connection is made. Raises ``ValueError`` for a wrong address or a driver that is not
        installed.
        """
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.pool import NullPool

        try:
            self._engine = create_engine(url, poolclass=NullPool)
        except (SQLAlchemyError, ImportError) as error:
            raise ValueError(
                f"the address in url_file cannot be used: {type(error).__name__}: {first_words(error)}"
            ) from None

    def rows(self, report: ReportTable, floor: Key | None) -> list[Row]:
        return self._read(statement(report, "from", floor))

    def newest(self, report: ReportTable) -> list[Row]:
        return self._read(statement(report, "newest"))

    def whole(self, report: ReportTable) -> list[Row]:
        return self._read(statement(report, "whole"))

    def _read(self, query: Any) -> list[Row]:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.connect() as connection:
                sentence = READ_ONLY.get(self._engine.dialect.name)
                if sentence is not None:
                    connection.execute(text(sentence))
                found = [dict(row) for row in connection.execute(query).mappings()]
                connection.rollback()
        except SQLAlchemyError as error:
            raise SourceAway(first_words(error)) from None
        return found


class HttpSource:
    """A ``Source`` that reads a web service. Each ``view`` is a path below ``url`` that returns a JSON list of rows, or
    an object with the list in ``data``.
    """

    def __init__(self, url: str) -> None:
        """Check the address. Raises ``ValueError`` if ``url`` is no http:// or https:// address."""
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError("url_file holds no http:// or https:// address in its first line")
        self._url = url if url.endswith("/") else f"{url}/"

    def rows(self, report: ReportTable, floor: Key | None) -> list[Row]:
        rows = self._keyed(report)
        wanted = [key for key, _ in rows if floor is None or (type(key) is type(floor) and key >= floor)]  # type: ignore[operator]
        return [row for key, row in rows if key in wanted][:ROWS_MAX]

    def newest(self, report: ReportTable) -> list[Row]:
        return [row for _, row in self._keyed(report)[-1:]]

    def _keyed(self, report: ReportTable) -> list[tuple[Key, Row]]:
        assert report.key is not None
        found = [(key, row) for row in self._get(report) if (key := key_of(row.get(report.key))) is not None]
        found.sort(key=lambda one: (isinstance(one[0], datetime), one[0]))
        return [(key, {**row, report.key: key}) for key, row in found]

    def whole(self, report: ReportTable) -> list[Row]:
        return in_order(self._get(report), report)[:WHOLE_ROWS_MAX]

    def _get(self, report: ReportTable) -> list[Row]:
        address = urljoin(self._url, report.view)
        if urlsplit(address).netloc != urlsplit(self._url).netloc:
            raise SourceAway("the view leads to another host")
        try:
            with urllib.request.urlopen(address, timeout=HTTP_S) as answer:  # noqa: S310 - http or https, see above
                body = answer.read(HTTP_BYTES_MAX + 1)
            found = json.loads(body)
        except (OSError, ValueError, HTTPException, RecursionError) as error:
            raise SourceAway(first_words(error)) from None
        rows = found.get("data") if isinstance(found, dict) else found
        if len(body) > HTTP_BYTES_MAX or not isinstance(rows, list):
            raise SourceAway("the answer is no list of rows")
        wanted = columns(report)
        return [{name: row.get(name) for name in wanted} for row in rows if isinstance(row, dict)]


def in_order(rows: list[Row], report: ReportTable) -> list[Row]:
    """Sort rows by column ``order`` if it is a number in every row; otherwise leave their order."""
    order = report.order
    if order is None or not all(isinstance(row.get(order), int | float) for row in rows):
        return rows
    return sorted(rows, key=lambda row: float(row[order]))


def key_of(value: object) -> Key | None:
    """Parse a key: an integer or a time, perhaps as text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return int(value) if value.isdecimal() else datetime.fromisoformat(value).replace(tzinfo=None)
        except ValueError:
            return None
    return None


def first_words(error: Exception) -> str:
    """The first line of a library's error, cut to 200 characters, without the SQL statement."""
    text = str(getattr(error, "orig", None) or error) or type(error).__name__
    return text.splitlines()[0][:200]
