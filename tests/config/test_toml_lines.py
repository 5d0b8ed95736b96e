"""The line index knows exactly the paths tomllib knows, and the line each was written on."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.config.toml_lines import index

TEACHING = '''
title = "a # not a comment" # a comment [x]
"quoted key".'lit.eral' . bare = 1
[ hall ]
id = "x"
numbers = [ 1, # one
  2,
  [ 3, { deep = [ "]", '}' ] } ],
]
text = """
[not.a.table]
key = 1 \\"""
"""
raw = \'\'\'
[[nor.this]] \'\'\'
empty = {}
inline = { a.b = 1, "c d" = [ { e = 1979-05-27 07:32:00Z } ] }
[[devices]]
id = "a"
[devices.sub]
k = 1
[[devices.points]]
n = 1
[[devices.points]]
n = 2
[[devices]]
id = "b"
[[devices.points]]
n = 3
[x.y.z]
[x]
w = """"two quotes at the end"""""
'''


def paths(value: Any, at: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found = {at} if at else set()
    children: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        found |= paths(child, (*at, key))
    return found


def test_paths_of_the_teaching_text_equal_tomllib() -> None:
    assert set(index(TEACHING)) == paths(tomllib.loads(TEACHING))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("quoted key", "lit.eral", "bare"), 3),
        (("hall",), 4),
        (("hall", "numbers"), 6),
        (("hall", "numbers", 1), 7),
        (("hall", "numbers", 2, 1, "deep", 1), 8),
        (("hall", "inline", "c d", 0, "e"), 17),
        (("devices",), 18),
        (("devices", 0), 18),
        (("devices", 0, "points", 1, "n"), 25),
        (("devices", 1, "points", 0, "n"), 29),
        (("x", "w"), 32),
    ],
)
def test_lines_of_the_teaching_text(path: tuple[str | int, ...], line: int) -> None:
    assert index(TEACHING)[path] == line
    assert index(TEACHING.replace("\n", "\r\n"))[path] == line


def test_every_shipped_file_is_indexed_whole() -> None:
    root = Path(__file__).parents[2]
    texts = [path.read_text("utf-8") for path in (*root.glob("configs/*.toml"), root / "pyproject.toml")]
    assert texts
    for text in texts:
        assert set(index(text)) == paths(tomllib.loads(text))


# -- generated documents: a random tree written in a random mixture of TOML's styles -----------------------------

KEYS = st.one_of(st.sampled_from(["a", "b", "id", "x-1", "_"]), st.text("ab .#[]='\"\\\t窗{}", max_size=4))
STRINGS = st.text("ab #,[]{}='\"\\\n窗", max_size=8)
TREES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    KEYS,
    st.recursive(
        st.one_of(st.integers(-9, 9), st.booleans(), STRINGS),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
        max_leaves=8,
    ),
    max_size=5,
)


class Writer:
    """Writes a tree as TOML, choosing a style by drawing; remembers the line of each leaf it wrote by key."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.out: list[str] = []
        self.leaf_lines: dict[tuple[str | int, ...], int] = {}

    def chance(self) -> bool:
        return bool(self.draw(st.booleans()))

    def line(self) -> int:
        return "".join(self.out).count("\n") + 1

    def key(self, key: str) -> str:
        if key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key) and self.chance():
            return key
        if "'" not in key and "\t" not in key and self.chance():
            return f"'{key}'"
        return '"' + key.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'

    def value(self, value: Any) -> str:
        gap = self.draw(st.sampled_from(["", " ", "\t"]))
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int):
            return str(value)
        if isinstance(value, str):
            if "'''" not in value and not value.endswith("'") and self.chance():
                return f"'''\n{value}'''"
            if self.chance():
                return '"""\n' + value.replace("\\", "\\\\").replace('"', '\\"') + '"""'
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        if isinstance(value, list):
            end = self.draw(st.sampled_from(["", "\n", " # , ] \n"]))
            trailing = "," if value and self.chance() else ""
            return f"[{end}{f'{gap},{end}'.join(self.value(v) for v in value)}{trailing}{end}]"
        pairs = (f"{self.key(k)}{gap}={gap}{self.value(v)}" for k, v in value.items())
        return f"{{{gap}{', '.join(pairs)}{gap}}}"

    def table(self, tree: dict[str, Any], at: tuple[str | int, ...], name: str) -> None:
        later = []
        for key, value in tree.items():
            tables = isinstance(value, list) and value and all(isinstance(v, dict) for v in value)
            if (isinstance(value, dict) or tables) and self.chance():
                later.append((key, value))
                continue
            self.leaf_lines[(*at, key)] = self.line()
            self.out.append(
                f"{self.key(key)} = {self.value(value)}{self.draw(st.sampled_from(['', ' # [x]']))}\n"
            )
        for key, value in later:
            self.sub(key, value, at, name)

    def sub(self, key: str, value: Any, at: tuple[str | int, ...], name: str) -> None:
        full = f"{name}.{self.key(key)}" if name else self.key(key)
        for position, element in enumerate(value if isinstance(value, list) else ()):
            self.leaf_lines[(*at, key, position)] = self.line()
            self.out.append(f"[[ {full} ]]\n\n")
            self.table(element, (*at, key, position), full)
        if isinstance(value, dict):
            self.leaf_lines[(*at, key)] = self.line()
            self.out.append(f"[{full}]# c\n")
            self.table(value, (*at, key), full)


@settings(max_examples=400, deadline=None, print_blob=True)
@given(TREES, st.data())
def test_generated_documents_have_the_paths_of_tomllib_and_the_lines_written(
    tree: dict[str, Any], data: Any
) -> None:
    writer = Writer(data.draw)
    writer.table(tree, (), "")
    text = "".join(writer.out)
    parsed = tomllib.loads(text)
    lines = index(text)
    assert parsed == tree, text
    assert set(lines) == paths(parsed), text
    for path, line in writer.leaf_lines.items():
        assert lines[path] == line, (path, text)
