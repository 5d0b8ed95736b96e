"""``edged why``: what a journal's decisions rested on; and there are words for everything the core can say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edged.cli import app
from edged.core.engine import Engine
from edged.core.model.commands import Note
from edged.core.model.events import ClockSet, Event, KeyPressed, PolicyApplied, SiteLoaded, TicketPrinted
from edged.core.model.point import Point
from edged.core.model.policy import Policy, Tidal
from edged.core.model.site import Area, Service, Site, Staff, Window
from edged.explain.sentences import explain, explained
from edged.explain.words import REASONS, RULES, WHY_NOT
from edged.observer import Step
from tests.support.journals import open_journal

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "core" / "transcripts").glob("*.txt"))
SITE = Site(
    "east",
    "East",
    (Area("tax", "税务", "Taxes"), Area("land", "不动产", "Land")),
    (
        Service("tax-general", "tax", "综合", "General", "A", mean_s=300),
        Service("deed", "land", "登记", "Deeds", "B", mean_s=300),
    ),
    (
        Window("w1", "1", ("tax-general",), panel=Point("p1")),
        Window("w2", "2", ("deed",), panel=Point("p2")),
        Window("t1", "8", ("tax-general", "deed"), tidal=True, panel=Point("p8")),
        Window("t2", "9", ("tax-general",), tidal=True, panel=Point("p9")),
    ),
    (Staff("li", "李", ("tax",), Point("pager-li")), Staff("wang", "王", ("land",), Point("pager-wang"))),
)
OPENED_MS = 10 * 60_000
EIGHT_O_CLOCK_MS = 1_779_926_400_000  # 2026-05-28 00:00 UTC, 08:00 in the hall


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["why", *[str(word) for word in words]])


def events() -> list[tuple[int, Event]]:
    """Nine people at a tax window: t1 is asked for and opened; the land wants one, too, and the pool is used up."""
    fed: list[tuple[int, Event]] = [
        (0, ClockSet(EIGHT_O_CLOCK_MS, 480)),
        (0, SiteLoaded(SITE)),
        (0, PolicyApplied(1, "", Policy(tidal=Tidal(rule="band", pool=1)))),
        (0, KeyPressed(Point("p1"), "login")),
    ]
    fed += [(OPENED_MS + n, TicketPrinted(Point("d"), f"A{n:03d}", "tax-general")) for n in range(9)]
    fed += [(OPENED_MS + 20_000, KeyPressed(Point("pager-li"), "accept"))]
    fed += [(OPENED_MS + 30_000, KeyPressed(Point("p8"), "login", "li"))]
    fed += [(OPENED_MS + 40_000 + n, TicketPrinted(Point("d"), f"B{n:03d}", "deed")) for n in range(9)]
    return fed


@pytest.fixture
async def journal(tmp_path: Path) -> Path:
    engine = Engine()
    async with open_journal(tmp_path / "hall.db") as store:
        for seq, (at_ms, event) in enumerate(events(), 1):
            store.append(Step(seq, at_ms, event, *engine.handle(at_ms, event)))
    return tmp_path / "hall.db"


async def test_an_opening_has_rule_figures_alternatives_and_result(journal: Path) -> None:
    decisions = json.loads(call(journal, "--json", "--area", "tax").stdout)
    (opening,) = [one for one in decisions if one["decision"] == "open"]
    assert (opening["window"], opening["rule"], opening["time"]) == ("t1", "queue", "2026-05-28T08:10:00")
    assert opening["inputs"]["waiting"] == 9
    assert (opening["thresholds"]["threshold"], opening["thresholds"]["pool"]) == (8, 1)
    codes = {one["id"]: one["code"] for one in opening["alternatives"]}
    assert codes == {"t1": "chosen", "t2": "idle", "li": "chosen"}
    assert opening["acknowledged_by"] == "li"
    assert ["到岗" in one or "应答" in one or "启用" in one for one in opening["result"]] == [True, True]
    assert "8号窗口" in opening["zh"]
    assert "window 8" in opening["en"]


async def test_a_refusal_says_what_was_considered_and_why_not(journal: Path) -> None:
    decisions = json.loads(call(journal, "--json", "--area", "land").stdout)
    assert [one["decision"] for one in decisions] == ["refuse"]
    assert decisions[0]["rule"] == "queue"
    assert "1 of 1" in decisions[0]["en"]
    assert [(one["id"], one["code"], one["of"], one["en"]) for one in decisions[0]["alternatives"]] == [
        ("t1", "serves", "tax", "serves Taxes"),
        ("wang", "free", "0", "on standby, 0 turns today, not their turn"),
    ]


async def test_filters_and_languages(journal: Path) -> None:
    everything = call(journal, "--last", "0").stdout
    assert "OPEN" in everything
    assert "REFUSE" in everything
    assert "REFUSE" in call(journal, "--last", "1").stdout
    assert "OPEN" not in call(journal, "--last", "1").stdout
    assert "REFUSE" not in call(journal, "--window", "t1").stdout
    assert "窗口" not in call(journal, "--lang", "en").stdout
    assert "needs +1" not in call(journal, "--lang", "zh").stdout
    since = call(journal, "--since", "2026-05-28T08:10:30", "--json")
    assert [one["decision"] for one in json.loads(since.stdout)] == ["refuse"]
    assert call(journal, "--since", "08:10", "--last", "0").stdout == everything


async def test_a_missing_area_file_or_time_ends_with_an_error(journal: Path, tmp_path: Path) -> None:
    assert call(journal, "--area", "none").exit_code == 1
    assert call(tmp_path / "other.db").exit_code == 2
    assert "there is no such file" in call(tmp_path / "other.db").output
    assert call(journal, "--since", "soon").exit_code == 2
    (tmp_path / "text.db").write_text("no database")
    assert call(tmp_path / "text.db").exit_code == 2


def noted(kind: str, key: str) -> set[str]:
    found = set()
    for file in TRANSCRIPTS:
        for line in file.read_text().splitlines():
            if f"# {kind} " in line:
                found |= set(re.findall(rf' {key}=("[^"]*"|\S+)', line))
    return {word.strip('"') for word in found} - {"None", ""}


def test_there_are_words_for_every_rule_reason_and_alternative_of_the_transcripts() -> None:
    assert noted("tidal.requested", "rule") <= RULES.keys()
    assert {f"close:{rule}" for rule in noted("tidal.draining", "rule")} <= RULES.keys()
    reasons = noted("tidal.refused", "reason") | noted("tidal.held", "reason")
    assert {"pool", "no_window", "max_windows", "too_soon", "being_staffed", "nobody_answered"} <= reasons
    assert reasons <= REASONS.keys()
    considered: set[str] = set()
    for kind in ("requested", "held", "refused", "draining", "escalated"):
        considered |= noted(f"tidal.{kind}", "candidates") | noted(f"tidal.{kind}", "roster")
    codes = {word.partition("=")[2].partition(":")[0] for words in considered for word in words.split()}
    assert {"chosen", "idle", "serves", "lit", "bound", "paged", "free", "did-not-answer"} <= codes
    assert codes <= WHY_NOT.keys()


def test_no_decision_of_the_transcripts_lacks_a_figure_and_a_wait_has_a_limit_of_minutes() -> None:
    waits = 0
    for file in TRANSCRIPTS:
        for kind, subject, facts in re.findall(r"# (tidal\.\S+) (\S+)(.*)", file.read_text()):
            data: dict[str, str | int | float | None] = {}
            for key, word in re.findall(r' (\w+)=("[^"]*"|\S+)', facts):
                data[key] = None if word == "None" else int(word) if word.isdecimal() else word.strip('"')
            sentence = explain(Note(kind, subject, data), SITE)
            assert not re.search(r"(?<![\w-])-(?![\w-])", sentence), (file.name, sentence)
            if data.get("rule") == "oldest-wait" and kind != "tidal.opened":  # whose request gave the reason
                waits += 1
                assert re.search(r"has waited \d+ (s|min|h)", sentence), sentence
                assert re.search(r"limit (60 s|\d+ min|\d h)", sentence), sentence
    assert waits > 20


def test_a_note_without_a_sentence_is_shown_as_its_kind() -> None:
    note = Note("something.new", "w1")
    assert explain(note, SITE) == "something.new w1"
    assert explained(note, SITE) is None


def test_the_usual_queue_is_named_where_it_is_known() -> None:
    facts: dict[str, str | int | float | None] = {
        "back_to": 1,
        "reason": "window_missed",
        "area": "tax",
        "waiting": 43,
        "waited_s": 809,
        "before_s": 270,
    }
    limits: dict[str, str | int | float | None] = {"limit_s": 600, "worse_percent": 200, "worse_min": 10}
    unknown = explain(Note("policy.harmful", "7", {**facts, **limits, "usual_s": None}), SITE)
    known = explain(Note("policy.harmful", "7", {**facts, **limits, "usual_s": 120}), SITE)
    assert "(4 min 30 s when it came);" in unknown
    assert "（生效时4分30秒）；" in unknown
    assert "(4 min 30 s when it came, at most 2 min at this time on other days);" in known
    assert "（生效时4分30秒，平日此时最多2分钟）；" in known
