"""The list of every text: complete, filled, and without English in the Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

import devices
import edged
from edged.cli.words import example, rows
from edged.core.engine import Engine
from edged.explain import listing
from tests.core.test_transcripts import FOLDER
from tests.support.core_transcript import rerun
from tests.support.punctuation import half_width

ROOT = Path(edged.__path__[0])
ALLOWED = re.compile(r"[A-Z]\d{3}|broker|\bv\d|\+1")  # what technicians read, and names
CHINESE = re.compile(r"[\u4e00-\u9fff]+")
ROWS = list(rows())
WHERE = re.compile(r"\.py:\d+ ")
BLANK = re.compile(r"\{[^{}]*\}")


def test_every_text_is_filled_and_chinese_is_chinese() -> None:
    situations = set()
    for situation, chinese, english in ROWS:
        if WHERE.search(situation):
            continue  # of the code itself: tools may say both in one line
        assert situation not in situations, situation
        situations.add(situation)
        shown = example(chinese, 0)
        assert chinese, f"{situation} has no Chinese"
        assert "{" not in shown, situation
        assert "{" not in example(english, 1), situation
        assert not re.search(r"[A-Za-z]{2,}", ALLOWED.sub("", shown)), f"{situation}: {shown}"
        assert not half_width(shown), f"{situation}: {shown}"
    assert len(situations) > 150


def test_a_window_is_said_as_people_say_it() -> None:
    for situation, chinese, _ in ROWS:
        if WHERE.search(situation) and not situation.startswith("core/"):
            continue  # tables of tools
        for blank in re.finditer(r"\{window\}(.?)", chinese):
            assert blank.group(1) == "号", f"{situation}: {chinese}"


def test_every_literal_of_the_code_is_listed() -> None:
    """Found in another way than the list is made: among the constants of what the compiler makes of it."""
    listed = "\n".join(f"{chinese}\n{english}" for _, chinese, english in ROWS)
    listed += "".join(f"{found.chinese} {found.english}\n" for found in listing.sentences())
    missing = []
    for path in ROOT.rglob("*.py"):
        name, source = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        if name.split("/")[0] in listing.UNREAD or name in listing.LISTS or not CHINESE.search(source):
            continue
        for text in _constants(compile(source, name, "exec", optimize=2)):  # without docstrings
            missing += [f"{name} {part}" for part in CHINESE.findall(text) if part not in listed]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("tree", [ROOT, Path(devices.__path__[0])], ids=["edged", "devices"])
def test_chinese_has_the_marks_of_chinese(tree: Path) -> None:
    """Every literal of the code that has Chinese, on a sign as in a tool; a pattern is no text."""
    wrong = [
        f"{path.relative_to(tree)}: {near}"
        for path in sorted(tree.rglob("*.py"))
        if path.name != "redaction.py"
        for text in _constants(compile(path.read_text("utf-8"), path.name, "exec", optimize=2))
        for near in half_width(text, bilingual=True)
    ]
    assert not wrong, "\n".join(wrong)


def _constants(found: object) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    for inner in (
        found.co_consts if isinstance(found, CodeType) else found if isinstance(found, tuple) else ()
    ):
        yield from _constants(inner)


def test_a_sentence_that_no_table_holds_is_listed(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "new.py").write_text(
        'def call(window: str) -> str:\n    """Somebody is called."""\n'
        '    return f"请到{window.number}号窗口 Please come"\n'
    )
    assert list(listing.sentences(tmp_path)) == [
        ("core/new.py:3", "Somebody is called.", "请到{number}号窗口", "Please come")
    ]


def test_every_text_that_leaves_the_core_is_made_of_listed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs, pages, paper and speech of all transcripts: what no listed sentence or name explains was not listed."""
    pieces = {piece for _, chinese, _ in ROWS for piece in CHINESE.findall(BLANK.sub(" ", chinese))}
    texts: set[str] = set()
    names: set[str] = set()
    handle = Engine.handle

    def handle_and_collect(engine: Engine, at_ms: int, event: object) -> object:
        outcome = handle(engine, at_ms, event)  # type: ignore[arg-type]
        texts.update(re.findall(r"'([^']*)'", repr(outcome[0])))
        names.update(
            CHINESE.findall(repr(event))
        )  # a site, a policy, an announcement: words of the hall's own
        return outcome

    monkeypatch.setattr(Engine, "handle", handle_and_collect)
    for path in sorted(FOLDER.glob("*.txt"))[::3]:  # every third is a hall of its own
        rerun(path.read_text())
    known = sorted(pieces | names, key=len, reverse=True)
    unknown = set()
    for text in texts:
        for part in CHINESE.findall(text):
            left = part
            for piece in known:
                left = left.replace(piece, " ")
            if left.strip():
                unknown.add(f"{part}: {left.strip()}")
    assert not unknown, "\n".join(sorted(unknown))
