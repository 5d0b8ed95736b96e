"""Finds the line of every key in a TOML text. Rules of this file:

* ``tomllib`` gives no positions but decides what is valid; ``index`` is only called with text that it accepted.
* The result maps each path of the parsed document (keys, and positions inside arrays) to its 1-based line; a test holds
  its paths equal to those of ``tomllib`` on generated documents.
* The line of a path is that of its key, its table's header, or the array element itself.

Not tomlkit, because it keeps no positions (python-poetry/tomlkit#55 is open).
"""

from __future__ import annotations

import re
import tomllib

from edged.shapes import Path

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")  # numbers, booleans, dates: up to whatever may follow a value
_GAP = re.compile(r"[ \t]*")
_GAP_LINES = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
# Longest opening first: three quotes before one. A multi-line string may end in up to two more quotes.
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL),
    re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


def index(text: str) -> dict[Path, int]:
    """The line of each key path in ``text``, which must be valid TOML 1.0."""
    return _TomlScan(text.replace("\r\n", "\n")).document()


class _TomlScan:
    """One pass over the text. ``at``: offset of the cursor. Values are skipped; only the lines where they begin are
    recorded.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}  # array of tables -> index of its last element
        self._counted = (0, 1)  # offset up to which newlines were counted, line there

    def document(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_GAP_LINES)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_GAP_LINES)
        return self.lines

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match is not None, f"not TOML at offset {self.at}"
        self.at = match.end()
        return match.group()

    def _line(self) -> int:
        """The line at the cursor. Counts from the last call, because the cursor only moves forward."""
        offset, line = self._counted
        line += self.text.count("\n", offset, self.at)
        self._counted = (self.at, line)
        return line

    def _note(self, path: Path, line: int) -> None:
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], line)

    def _header(self) -> Path:
        line = self._line()
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        self._skip(_GAP)
        keys = self._keys()
        self.at += 2 if array else 1
        path: Path = ()
        for key in keys[:-1]:
            path = self._inside((*path, key))
        path = (*path, keys[-1])
        if array:
            self._tables[path] = self._tables.get(path, -1) + 1
            path = self._inside(path)
        self._note(path, line)
        return path

    def _inside(self, path: Path) -> Path:
        """The path under which a table's keys belong: ``path`` itself, or for an array of tables the path of its last
        element.
        """
        return (*path, self._tables[path]) if path in self._tables else path

    def _keys(self) -> tuple[str, ...]:
        """Read a dotted key and the white space after it."""
        keys = [self._key()]
        self._skip(_GAP)
        while self.text.startswith(".", self.at):
            self.at += 1
            self._skip(_GAP)
            keys.append(self._key())
            self._skip(_GAP)
        return tuple(keys)

    def _key(self) -> str:
        if self.text[self.at] not in "\"'":
            return self._skip(_BARE)
        quoted = self._string()
        return str(tomllib.loads(f"k = {quoted}")["k"])

    def _string(self) -> str:
        for pattern in _STRINGS:
            if pattern.match(self.text, self.at) is not None:
                return self._skip(pattern)
        raise AssertionError(f"not TOML at offset {self.at}")

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = (*table, *self._keys())
        self._note(path, line)
        self.at += 1  # "="
        self._skip(_GAP)
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self.text[self.at]
        if opening in "\"'":
            self._string()
        elif opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self.at += 1
        position = 0
        self._skip(_GAP_LINES)
        while self.text[self.at] != "]":
            element = (*path, position)
            self._note(element, self._line())
            self._value(element)
            self._skip(_GAP_LINES)
            if self.text[self.at] == ",":
                self.at += 1
                self._skip(_GAP_LINES)
            position += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        self._skip(_GAP_LINES)
        while self.text[self.at] != "}":
            self._pair(path)
            self._skip(_GAP_LINES)
            if self.text[self.at] == ",":
                self.at += 1
                self._skip(_GAP_LINES)
        self.at += 1
