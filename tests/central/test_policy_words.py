"""A policy in sentences, its differences from another one, and a draft with notes that says the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edged.central.policies import inspect
from edged.central.policy_changes import PlaceNames, changes, changes_from_built_in
from edged.central.policy_model import core_policy
from edged.central.policy_text import draft, uncommented
from edged.config import load
from edged.core.model.policy import Band, Hours, Policy, Pw, Session, Tidal
from tests.support.daemons import edged
from tests.support.policies import document

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLE, HALL = CONFIGS / "policy-example.json", CONFIGS / "hall-example.toml"


def read(text: str) -> Policy:
    raw = uncommented(text.encode())
    plain = json.loads(raw)
    plain.pop("$schema", None)
    filled = document() | plain
    return core_policy(inspect(json.dumps(filled).encode(), None).body)


def changes_in_words(before: Policy, after: Policy) -> dict[str, tuple[str, str]]:
    """Return (English, Chinese) of each changed value, by its path."""
    return {
        one.path: (one.words.en, one.words.zh) for one in changes(before, after, PlaceNames(load(HALL).site))
    }


@pytest.mark.parametrize("file", [EXAMPLE, CONFIGS / "policy-demo.json"])
def test_a_draft_says_what_the_policy_says(file: Path) -> None:
    policy = read(file.read_text("utf-8"))
    made = draft(policy, 9, "east")
    assert read(made) == policy
    assert changes(policy, read(made)) == []
    assert "// 启用潮汐窗口的等候人数 / waiting visitors above which" in made
    assert uncommented(made.encode()).count(b"\n") == made.count("\n"), "a mistake keeps its line"


def test_areas_are_named_and_compared_as_their_values_hold() -> None:
    before = Policy()
    own = replace(before, tidal=replace(before.tidal, areas={"tax": replace(Band(), open_above=5)}))
    assert changes_in_words(before, own) == {
        "tidal.areas.tax.open_above": (
            'Taxes: waiting visitors above which a "+1" window opens: 8 → 5',
            "税务综合：启用潮汐窗口的等候人数：8 → 5",
        )
    }
    assert changes_in_words(own, before)["tidal.areas.tax.open_above"][1].endswith("：5 → 8")
    all_of_them = replace(own, tidal=replace(own.tidal, band=replace(Band(), close_at=1)))
    both = replace(all_of_them.tidal, areas={"tax": replace(Band(), open_above=5, close_at=1)})
    paths = set(changes_in_words(own, replace(all_of_them, tidal=both)))
    assert paths == {"tidal.band.close_at"}, "what changes there as everywhere is said once"


def test_changes_of_a_policy_are_described_without_python_syntax() -> None:
    found = changes_from_built_in(read(EXAMPLE.read_text("utf-8")), PlaceNames(load(HALL).site))
    for one in found:
        for text in one.words:
            assert not any(mark in text for mark in ("('", "',", "Session(", "mappingproxy", "None", "True"))
    hours = next(one for one in found if one.path == "hours.week").words
    assert "Mon–Fri 09:00–17:00" in hours.en
    assert "周一至周五 09:00–17:00" in hours.zh


def test_lists_say_what_came_and_what_went() -> None:
    monday, weekend = Session((1,), "08:00", "12:00"), Session((6, 7), "09:00", "16:00", ("tax",))
    found = changes_in_words(Policy(hours=Hours((monday,))), Policy(hours=Hours((weekend,))))
    english, chinese = found["hours.week"]
    assert english.endswith(": + Sat, Sun 09:00–16:00 for Taxes; − Mon 08:00–12:00")
    assert chinese.endswith("：+ 周六、周日 09:00–16:00（税务综合）；− 周一 08:00–12:00")
    mix = changes_in_words(Policy(), Policy(tidal=Tidal(pw=Pw(mix={"tax-general": 0.5}))))
    assert mix["tidal.pw.mix"][0].endswith("none → 0.5")


def test_the_commands_say_it_at_the_terminal(tmp_path: Path) -> None:
    made = edged("policy", "new", "--from", str(EXAMPLE), "--hall", "east")
    assert made.returncode == 0, made.stderr
    file = tmp_path / "draft.json"
    file.write_text(made.stdout.replace('"open_above": 6', '"open_above": 7', 1))
    assert edged("policy", "check", str(file)).returncode == 0
    done = edged("policy", "explain", str(file), str(EXAMPLE), "--config", str(HALL))
    assert done.returncode == 0, done.stderr
    assert "启用潮汐窗口的等候人数：6 → 7" in done.stdout
    assert ": 6 → 7  [tidal.band.open_above]" in done.stdout
    alone = edged("policy", "explain", str(EXAMPLE), "--config", str(HALL))
    assert "规则：" in alone.stdout
    assert "税务综合：一个专区的潮汐窗口上限：4 → 3" in alone.stdout
    assert edged("policy", "explain", str(tmp_path / "none.json")).returncode == 2
