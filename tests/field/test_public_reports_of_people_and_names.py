"""More inputs that others reported in public: waits told for people who are not there, and ids where names belong.

The rules are those of ``test_public_reports.py``: the order of events is that of the report, with this hall's names
where the report has its own, and ``source`` is the address behind github.com.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import pytest

from tests.support.core_transcript import rerun

LEAST = 3
CAPACITY = "an unmanned window counted as capacity"
NAMES = "ids are shown instead of names"
QUIET = "show areas notes actions\n08:00:10 policy tidal.enabled=0\n"
TOLD = re.compile(r"display led-tax .*?等候\d+人(?: 约(\d+)-(\d+)分钟)?")


class Staffing(NamedTuple):
    """Moments after which the board of the tax area is read: the wait is unknown, longer, shorter, or as before."""

    kind: str
    source: str
    moments: tuple[tuple[str, str], ...]


TWENTY = "08:30:00 tickets A001-A020 tax-general 1\n"
NOBODY_ON_SHIFT = "08:00:20 site staff li 李 tax pager=pager-li shifts=08:00-08:10; without staff wang\n"
STAFFED = [
    Staffing(
        CAPACITY,
        "Cal-CS-61A-Staff/oh-queue/pull/142",  # 20 wait: nobody knows with no assistant, less with each more
        ((TWENTY, "unknown"), ("08:31:00 p1 login qin\n", "known"), ("08:32:00 p2 login ma\n", "shorter")),
    ),
    Staffing(
        CAPACITY,
        "ubco-db/helpme/issues/192",  # the last assistant checks out, the questions stay
        (("08:29:00 p1 login qin\n" + TWENTY, "known"), ("08:31:00 p1 logout\n", "unknown")),
    ),
    Staffing(
        CAPACITY,
        "kubernetes/kubernetes/issues/59975",  # started, not ready: no work is done there for half an hour
        (
            (f"{NOBODY_ON_SHIFT}08:29:00 p1 login qin\n{TWENTY}", "known"),
            ("08:31:00 panel-duty force-open w8 tax by=chen\n", "not shorter"),
            ("08:31:30 p8 login li\n", "shorter"),
        ),
    ),
    Staffing(
        CAPACITY,
        "alphagov/government-frontend/pull/1630",  # open by the clock, and nobody has logged in
        (("08:29:00 p1 login qin\n08:29:10 p1 pause meal\n" + TWENTY, "unknown"),),
    ),
]


def displayed_wait(lines: str) -> tuple[int, int] | None:
    """Play ``lines``; return the range of the wait on the area's board in minutes, None if it shows none."""
    low, high = TOLD.findall(rerun(QUIET + lines))[-1]
    return (int(low), int(high)) if low else None


@pytest.mark.parametrize("one", STAFFED, ids=lambda one: one.source)
def test_a_predicted_wait_follows_from_the_staff_who_are_present(one: Staffing) -> None:
    lines, before = "", None
    for more, expected in one.moments:
        lines += more
        wait = displayed_wait(lines)
        assert (wait is None) == (expected == "unknown"), (more, wait)
        if "shorter" in expected:
            assert wait is not None
            assert before is not None
            assert (wait < before) == (expected == "shorter"), (more, before, wait)
        before = wait


class Shown(NamedTuple):
    """What happened, as a transcript, and what people then read somewhere: never an id of a part or a person."""

    kind: str
    source: str
    lines: str
    says: tuple[str, ...]


IDS = re.compile(
    r"(?<![\w.-])(li|wang|sun|zhou|tax|social|house|tax-[a-z]+|social-card|deed|w[1-9])(?![\w-])"
)
SHOWN = [
    Shown(
        NAMES,
        "nextcloud/polls/issues/806",  # told by whom: by user id
        "08:30:00 p1 login li\n08:31:00 p1 force-close\n",
        ("人工关闭 Forced closed → 09:01 (李)",),
    ),
    Shown(
        NAMES,
        "Krillsson/monitee-agent/issues/349",  # an alarm names what it watches by its id
        "08:29:00 p1 login qin\n08:30:00 tickets A001-A003 tax-general 1\n08:36:00 state w1\n",
        ("1号窗口 空岗",),
    ),
    Shown(
        NAMES,
        "owncloud/activity/issues/127",  # a message to somebody names another by their id
        "08:30:00 p1 login li\n08:31:00 p1 commissioner\n",
        ("请到1号窗口帮办",),
    ),
    Shown(
        NAMES,
        "matrix-org/synapse/issues/3815",  # two people of one name: their ids are shown to tell them apart
        "08:00:10 site staff wang 李 tax,social pager=pager-wang\n08:30:00 panel-duty roster absent li by=陈\n"
        "08:30:20 panel-duty roster absent 李 by=陈\n",
        ("李今日不在岗", "没有这位人员"),
    ),
    Shown(
        NAMES,
        "weaondara/BungeePerms/issues/291",  # a list of who belongs to what, all of it ids
        "08:30:00 panel-duty roster also wang tax,social by=陈\n08:30:20 panel-duty force-open w8 tax by=陈\n",
        ("王今日也可办理税务、社保", "请到8号窗口支援税务"),
    ),
]


@pytest.mark.parametrize("one", SHOWN, ids=lambda one: one.source)
def test_texts_for_people_show_names_and_numbers_and_no_ids(one: Shown) -> None:
    output = rerun("show panels pagers actions\n" + one.lines)
    read = [*re.findall(r'prompt="([^"]*)"', output), *re.findall(r"> page \S+ \S+ \S+ (.*)", output)]
    for wanted in one.says:
        assert any(wanted in words for words in read), read
    assert not [words for words in read if IDS.search(words)], read


def test_each_kind_of_report_on_people_has_at_least_three_sources() -> None:
    sources = [(one.kind, one.source) for one in STAFFED] + [(one.kind, one.source) for one in SHOWN]
    assert len(sources) == len({source for _kind, source in sources})
    assert min(Counter(kind for kind, _source in sources).values()) >= LEAST
