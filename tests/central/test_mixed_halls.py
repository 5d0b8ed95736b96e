"""One policy for halls that differ: areas by kind, names where they are present, and what each hall makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.central.addressing import Local, local
from edged.central.audience import Audience, HighestVersion, Names, Trusted
from edged.central.policies import accept, inspect, of_hall, reread
from edged.central.refusals import DocumentRefused, Reason
from edged.cli.policy import check
from edged.cli.policy_explain import explain
from edged.core.model.policy import Band, Policy
from tests.support.policies import KEYS, NAMES, NOW_MS, document, envelope

HERE = replace(
    NAMES, kinds={"tax": "money", "biz": "money"}
)  # areas tax and biz; services and windows of each


def of(names: Names = HERE, **body: Any) -> Local:
    found = inspect(json.dumps(document(body=body)).encode(), Audience("demo", None, names))
    return of_hall(found, names)


def refused(names: Names = HERE, **body: Any) -> Reason:
    with pytest.raises(DocumentRefused) as caught:
        of(names, **body)
    return caught.value.reasons[0]


def test_an_area_with_its_own_entry_takes_nothing_from_the_entry_of_its_kind() -> None:
    areas = {
        "kind:money": {"open_above": 9},
        "tax": {"max_windows": 2},
        "if-present:social": {"open_above": 5},
    }
    found = of(tidal={"areas": areas, "band": {"open_above": 7}})
    assert found.policy.tidal.areas == {
        "biz": Band(open_above=9),
        "tax": Band(open_above=7, max_windows=2),
    }
    assert [(one.path, one.name) for one in found.unmet] == [
        ("body.tidal.areas.if-present:social", "if-present:social")
    ]
    assert found.depends
    other = of(replace(HERE, kinds={}), tidal={"areas": areas})
    assert set(other.policy.tidal.areas) == {"tax"}


def test_a_policy_of_plain_names_is_as_it_is_written() -> None:
    found = of(tidal={"areas": {"tax": {"max_windows": 2}}, "peaks": [{"areas": ["tax"]}]})
    assert (found.unmet, found.places, found.depends) == ((), {}, False)


def test_what_was_for_absent_areas_is_for_nobody_and_not_for_everybody() -> None:
    absent = ["if-present:social", "kind:social"]
    found = of(
        tidal={"peaks": [{"areas": absent}, {"areas": [*absent, "if-present:tax"]}, {"windows": 2}]},
        hours={
            "week": [{}, {"areas": absent, "mode": "closed", "days": [1]}],
            "noon": _noon(["if-present:w9"]),
        },
        calling={"rules": [{"areas": absent}, {"services": ["if-present:x"], "windows": ["w1"]}]},
    ).policy
    assert [one.areas for one in found.tidal.peaks] == [("tax",), ()]
    assert len(found.hours.week) == 1
    assert found.hours.noon.windows == ()
    assert found.calling.rules == ()


def _noon(windows: list[str]) -> dict[str, Any]:
    return {"starts": "12:00", "ends": "13:00", "windows": windows}


def test_a_journey_without_two_stages_here_is_left_out() -> None:
    stages = ["tax-general", "if-present:biz-open", "if-present:social-card"]
    journeys = {"shop": {"stages": stages}, "card": {"stages": [stages[0], stages[2]]}}
    found = of(visits={"journeys": journeys}).policy.visits.journeys
    assert {name: one.stages for name, one in found.items()} == {"shop": ("tax-general", "biz-open")}


def test_services_and_profiles_where_they_are_present() -> None:
    pw = {
        "mix": {"if-present:tax-general": 0.5, "if-present:social-card": 0.5},
        "profile": {"kind:money": [1.0]},
    }
    found = of(tidal={"pw": pw, "pw_areas": {"kind:money": {"open_wait_s": 400}}}).policy.tidal
    assert found.pw.mix == {"tax-general": 0.5}
    assert found.pw.profile == {"biz": (1.0,), "tax": (1.0,)}
    assert {area: one.open_wait_s for area, one in found.pw_areas.items()} == {"biz": 400, "tax": 400}


def test_a_name_that_has_to_be_there_is_refused_as_ever() -> None:
    why = refused(tidal={"areas": {"kind:money": {}, "taxx": {}}})
    assert (why.code, why.path) == ("unknown-area", "body.tidal.areas.taxx")
    assert refused(hours={"week": [{}], "noon": _noon(["w77"])}).code == "unknown-window"


def test_a_kind_is_refused_in_place_of_a_journey_stage_or_inside_if_present() -> None:
    assert refused(visits={"journeys": {"a": {"stages": ["kind:money", "tax-general"]}}}).code == "bad-value"
    assert refused(tidal={"areas": {"if-present:kind:money": {}}}).code == "bad-value"


def test_one_area_twice_is_a_mistake() -> None:
    why = refused(tidal={"areas": {"tax": {}, "if-present:tax": {"max_windows": 2}}})
    assert (why.code, why.path) == ("contradiction", "body.tidal.areas.if-present:tax")
    assert "“tax”" in why.message_zh


def test_a_refusal_names_the_place_in_the_document() -> None:
    """Entries that do not apply to this hall are left out, so the index in the rest differs from the document's."""
    week = [{"areas": ["if-present:social"], "days": [6]}, {"opens": "18:00"}]
    assert refused(hours={"week": week}).path == "body.hours.week[1].closes"
    why = refused(tidal={"areas": {"kind:money": {"open_above": 3, "close_at": 5}}})
    assert why.path == "body.tidal.areas.kind:money.close_at"
    assert (
        refused(replace(HERE, kinds={}), tidal={"areas": {"kind:money": {"open_above": 0}}}).code
        == "out-of-bounds"
    )


def test_what_a_hall_keeps_is_the_document_and_what_it_does_is_its_own() -> None:
    raw = envelope(document(body={"tidal": {"areas": {"kind:money": {"open_above": 9}}}}))
    taken = accept(raw, Trusted(KEYS), Audience("demo", None, HERE), HighestVersion(), NOW_MS)
    assert (set(taken.policy.tidal.areas), taken.unmet, taken.depends) == ({"tax", "biz"}, (), True)
    later = reread(raw, replace(HERE, areas=frozenset({"tax", "new"}), kinds={"new": "money"}))
    assert (later.sha256, set(later.policy.tidal.areas)) == (taken.sha256, {"new"})
    nowhere = reread(raw, replace(HERE, kinds={}))
    assert (nowhere.policy, nowhere.unmet) == (Policy(), ("kind:money",))
    unread = reread(raw, None).policy
    assert local(unread, HERE).policy == taken.policy, "who knows the hall later comes to the same"


def test_the_commands_tell_what_a_hall_makes_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = (Path(__file__).parents[2] / "configs" / "hall-small.toml").read_text("utf-8")
    made = example.replace('[[areas]]\nid = "tax"\n', '[[areas]]\nid = "tax"\nkind = "money"\n', 1)
    hall, file = tmp_path / "hall.toml", tmp_path / "policy.json"
    hall.write_text(made, "utf-8")
    areas = {"kind:money": {"open_above": 9}, "if-present:moon": {"open_above": 5}}
    file.write_text(json.dumps(document(halls=["small"], body={"tidal": {"areas": areas}})))
    check(file, hall)
    output = capsys.readouterr().out
    assert "not in this hall, left out: if-present:moon / 本大厅没有，不适用：if-present:moon\n" in output
    explain(file, None, hall)
    output = capsys.readouterr().out
    assert "税务综合：启用潮汐窗口的等候人数：8 → 9  [tidal.areas.tax.open_above]" in output
    assert "本大厅没有，不适用：if-present:moon\n" in output
    assert "not in this hall, left out: if-present:moon\n" in output
    explain(file, None, None)
    alone = capsys.readouterr().out
    assert "money类专区：启用潮汐窗口的等候人数：8 → 9" in alone
    assert "areas of kind money: waiting visitors" in alone
    assert "moon, where present: waiting" in alone
    assert "moon（如有）：" in alone
