"""Finds every sentence for people in the program's source, so that a review of texts misses none.

A string with Chinese characters is taken for such a sentence; its English is in the same string or is the next item of
a pair. Each is listed with the purpose of the function that contains it (the first line of its docstring).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import edged

CHINESE = re.compile(r"[\u4e00-\u9fff]")
BOTH = re.compile(r"(.*[\u4e00-\u9fff）：][^ ]*) +([^\u4e00-\u9fff]+)")
LATIN = re.compile(r"[A-Za-z]{2,}(?![^{]*})")  # outside blanks
UNREAD = ("sim", "bench")  # made-up halls and their people: names, not texts of a hall
LISTS = ("cli/words.py", "explain/listing.py")  # examples, and this file


class Sentence(NamedTuple):
    """A text found in the source. ``place``: file and line; ``situation``: first line of the docstring around it.
    Placeholders are written ``{name}``.
    """

    place: str
    situation: str
    chinese: str
    english: str


def sentences(package: Path | None = None) -> Iterator[Sentence]:
    """Yield the texts of all files, those of the core first, in line order."""
    root = Path(edged.__path__[0]) if package is None else package
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    for name in sorted(names, key=lambda name: not name.startswith("core/")):
        if name.split("/")[0] not in UNREAD and name not in LISTS:
            yield from sorted(_of_file(name, ast.parse((root / name).read_text("utf-8"))), key=_line)


def _line(sentence: Sentence) -> int:
    return int(sentence.place.rpartition(":")[2])


def _of_file(name: str, tree: ast.Module) -> Iterator[Sentence]:
    known = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    around: list[tuple[ast.AST, str]] = [(tree, _about(tree))]
    for node, situation in around:
        parts = list(ast.iter_child_nodes(node))
        around += [(part, _about(part) or situation) for part in parts]
        if isinstance(node, ast.JoinedStr | ast.FormattedValue | ast.Expr):
            continue  # a piece of the sentence around it, or a docstring
        for part, after in zip(parts, [*parts[1:], None], strict=False):
            if isinstance(part, ast.Constant | ast.JoinedStr):
                chinese, english = template(part, known), template(after, known)
                if CHINESE.search(chinese):
                    pair = _parted(chinese, "" if CHINESE.search(english) else english)
                    yield Sentence(f"{name}:{part.lineno}", situation, *pair)


def _parted(chinese: str, english: str) -> tuple[str, str]:
    both = BOTH.fullmatch(chinese)
    if both is None or LATIN.search(both.group(1)) or not LATIN.search(both.group(2)):
        return chinese, english
    return both.group(1), both.group(2)


def template(node: ast.AST | None, known: Mapping[str, str]) -> str:
    """A string literal or f-string as text with ``{name}`` placeholders; "" for any other node. ``known``: constants of
    its file.
    """
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, known) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        inner = ast.unparse(node.value)
        if inner in known:
            return known[inner]
        words = re.findall(r"[a-z_]+", re.sub(r"'.*?'", "", inner))
        return "{" + (words[-1].strip("_") if words else "value") + "}"
    return ""


def _about(node: ast.AST) -> str:
    """The first line of the docstring of a module, class or function; "" for any other node."""
    if not isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return ""
    return (ast.get_docstring(node) or "").partition("\n")[0]
