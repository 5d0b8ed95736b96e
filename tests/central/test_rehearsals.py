"""Rehearsals as the desk and the daemon's end of the line see them: figures, refusals, a misbehaving other side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edged.central.rehearsals import ANSWER_SHARE, Limits, Rehearsals
from edged.central.rehearsed import (
    ANSWER_BYTES_MAX,
    QUESTION_BYTES_MAX,
    BadMessage,
    Missed,
    Now,
    RehearsalQuestion,
    Rehearsed,
    RehearsedSide,
    answer_line,
    objection,
    question_line,
    read_answer,
    read_question,
    sentences,
    to_json,
)
from tests.central.test_policy_desk import hall_and_centre
from tests.support.brokers import until
from tests.support.policies import document, envelope

CALM = RehearsedSide(
    activations=30, staff_min=900, mean_min=3.0, p90_min=8.0, longest_min=21.0, over_limit=0.05
)
WORSE = RehearsedSide(
    activations=0, staff_min=0, mean_min=9.5, p90_min=31.0, longest_min=70.0, over_limit=0.4
)
FOUND = Rehearsed(
    days=20, of=20, visitors=9000, limit_min=10.0, before=CALM, after=WORSE, now=Now(closes=("w7",))
)


def strict(version: int = 7, max_worse: int | None = 10, days: int = 20) -> bytes:
    return envelope(document(version=version, rehearsal={"days": days, "max_worse": max_worse}))


# ---- the desk ----


async def test_a_policy_is_rehearsed_before_it_comes_into_force_and_the_report_has_the_figures(
    tmp_path: Path,
) -> None:
    async with hall_and_centre(tmp_path / "hall.db") as (hall, centre):
        hall.rehearses = True
        raw = strict(max_worse=None, days=5)
        report = await centre.push(raw)
        assert (report["state"], report["applied"]["version"]) == ("rehearsing", 0)
        assert hall.questions == [(raw, b"", 5)]
        assert hall.version == 0, "not in force yet"
        hall.rehearsed(FOUND)
        await until(lambda: centre.reports[-1]["state"] == "applied")
        assert centre.reports[-1]["rehearsal"] == to_json(FOUND)
        assert (hall.version, hall.refused) == (7, [])
        hall.rehearses = True
        await centre.push(strict(version=8))
        assert hall.questions[-1][1] == raw, "beside the policy in force"


async def test_a_worse_one_is_refused_where_it_asks_for_that_and_in_words(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "hall.db") as (hall, centre):
        hall.rehearses = True
        await centre.push(strict())
        hall.rehearsed(FOUND)
        await until(lambda: centre.reports[-1]["state"] == "rejected")
        report = centre.reports[-1]
        assert report["reason"]["code"] == "rehearsed-worse"
        assert "mean wait 3.0 → 9.5 min" in report["reason"]["message"]
        assert "平均等候 3.0 → 9.5 分钟" in report["reason"]["message_zh"]
        assert report["rehearsal"]["after"]["staff_min"] == 0
        assert (hall.version, hall.refused) == (0, ["rehearsed-worse"])
        await centre.push(strict(version=8))
        hall.rehearsed(replace_side(FOUND, CALM))
        await until(lambda: centre.reports[-1]["state"] == "applied")
        assert hall.version == 8


@pytest.mark.parametrize("max_worse", [None, 10])
async def test_no_rehearsal_is_said_and_refused_only_where_one_is_asked_for(
    max_worse: int | None, tmp_path: Path
) -> None:
    async with hall_and_centre(tmp_path / "hall.db") as (hall, centre):
        report = await centre.push(strict(max_worse=max_worse))
        assert report["rehearsal"] == {"missed": "no-service"}
        if max_worse is None:
            assert report["state"] == "applied"
        else:
            assert (report["state"], report["reason"]["code"]) == ("rejected", "not-rehearsed")
            assert "edged-rehearse.socket" in report["reason"]["message_zh"]
        assert hall.version == (7 if max_worse is None else 0)


async def test_a_newer_push_takes_the_place_of_one_that_is_rehearsed(tmp_path: Path) -> None:
    async with hall_and_centre(tmp_path / "hall.db") as (hall, centre):
        hall.rehearses = True
        await centre.push(strict(version=7))
        late = hall.rehearsed
        await centre.push(strict(version=8))
        late(replace_side(FOUND, CALM))
        hall.rehearsed(replace_side(FOUND, CALM))
        await until(lambda: centre.reports[-1]["state"] == "applied")
        assert hall.version == 8
        assert {report["state"] for report in centre.reports if report["desired"]["version"] == 7} == {
            "rehearsing"
        }


def replace_side(found: Rehearsed, after: RehearsedSide) -> Rehearsed:
    return Rehearsed(
        days=found.days,
        of=found.of,
        visitors=found.visitors,
        limit_min=10.0,
        before=found.before,
        after=after,
    )


# ---- the judgement ----


@pytest.mark.parametrize(
    ("old", "new", "max_worse", "refused"),
    [
        (10.0, 10.9, 10, False),
        (10.0, 11.1, 10, True),
        (0.1, 0.5, 0, False),  # four times as long, and nobody feels it
        (0.0, 0.6, 500, True),
        (10.0, 9.0, 0, False),
    ],
)
def test_a_policy_is_refused_only_if_waits_grow_noticeably_and_beyond_max_worse(
    old: float, new: float, max_worse: int, refused: bool
) -> None:
    def side(mean: float) -> RehearsedSide:
        return RehearsedSide(
            activations=1, staff_min=1, mean_min=mean, p90_min=20.0, longest_min=30.0, over_limit=0.1
        )

    found = replace_side(
        Rehearsed(days=1, of=1, visitors=9, limit_min=10.0, before=side(old), after=side(old)), side(new)
    )
    assert (objection(found, max_worse) is not None) == refused
    assert objection(found, None) is None


def test_sentences_name_everything_in_both_languages() -> None:
    english, chinese = ("\n".join(one[n] for one in sentences(FOUND)) for n in (0, 1))
    for figure in ("30 → 0", "900 → 0", "3.0 → 9.5", "8.0 → 31.0", "21 → 70", "5.0% → 40.0%", "w7"):
        assert figure in english
        assert figure in chinese
    cut = Rehearsed(days=7, of=20, visitors=1, limit_min=10.0, before=CALM, after=CALM)
    assert "7 of 20" in sentences(cut)[0][0]
    assert "20天中的7天（限时）" in sentences(cut)[0][1]


# ---- the line ----

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def line(path: Path, serve: Serve | None, deadline_s: float = 20.0) -> AsyncIterator[Rehearsals]:
    """A daemon's end of the line, and whoever serves the other one."""
    server = (
        None if serve is None else await asyncio.start_unix_server(serve, str(path), limit=QUESTION_BYTES_MAX)
    )
    ours = Rehearsals(str(path), "/nowhere/hall.db", Limits(1.0, deadline_s))
    running = asyncio.get_running_loop().create_task(ours.run())
    try:
        yield ours
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        if server is not None:
            server.close()


async def outcome_of(ours: Rehearsals, raw: bytes = b"{}") -> Rehearsed | Missed:
    """Ask for a rehearsal of the policy ``raw`` and return its outcome once there is one."""
    found: asyncio.Future[Rehearsed | Missed] = asyncio.get_running_loop().create_future()
    at_once = ours.want(raw, b"", 3, found.set_result)
    return at_once if at_once is not None else await found


async def test_the_question_arrives_whole_and_the_answer_comes_back(tmp_path: Path) -> None:
    got: list[RehearsalQuestion] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(read_question(await reader.readline()))
        writer.write(answer_line(FOUND))
        await writer.drain()
        writer.close()

    raw = bytes(range(256)) * 255  # as large as an envelope may be
    async with line(tmp_path / "r.sock", serve) as ours:
        assert await outcome_of(ours, raw) == FOUND
        assert await outcome_of(ours, raw) == FOUND
    assert got[0] == RehearsalQuestion("/nowhere/hall.db", raw, b"", 3, 1.0, 20.0 * ANSWER_SHARE)


def answering_with(*parts: bytes) -> Serve:
    """A server that reads one line, writes ``parts`` and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for part in parts:
            writer.write(part)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    return serve


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"{}\n",),
        (b"nonsense\n",),
        (b'{"missed":"a-word-of-my-own"}\n',),
        (answer_line(FOUND)[:-1],),
        (b"x" * (3 * ANSWER_BYTES_MAX),),
        (answer_line(FOUND).replace(b'"days":20', b'"days":-1'),),
        (answer_line(FOUND).replace(b'"w7"', b'"W7<script>"'),),
    ],
)
async def test_whatever_the_other_side_says_there_is_an_answer(
    parts: tuple[bytes, ...], tmp_path: Path
) -> None:
    async with line(tmp_path / "r.sock", answering_with(*parts)) as ours:
        assert await outcome_of(ours) == Missed(missed="broke-off")


async def test_one_that_never_answers_is_not_waited_for_longer_than_the_deadline(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()  # to the end of the connection
        ended.set()

    async with line(tmp_path / "r.sock", serve, deadline_s=0.2) as ours:
        assert await outcome_of(ours) == Missed(missed="no-answer")
        await ended.wait()


async def test_nobody_there_is_known_at_once_and_a_dead_socket_soon(tmp_path: Path) -> None:
    async with line(tmp_path / "none.sock", None) as ours:
        assert ours.want(b"{}", b"", 3, lambda found: None) == Missed(missed="no-service")
    (tmp_path / "dead.sock").touch()
    async with line(tmp_path / "dead.sock", None) as ours:
        assert await outcome_of(ours) == Missed(missed="no-service")


async def test_another_question_ends_the_one_before_and_only_the_last_is_answered(tmp_path: Path) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = read_question(await reader.readline())
        if question.policy == b"first":
            began.set()
            with suppress(ConnectionError):
                await reader.read()
            ended.set()
            return
        writer.write(answer_line(FOUND))
        await writer.drain()
        writer.close()

    first: list[Any] = []
    async with line(tmp_path / "r.sock", serve) as ours:
        ours.want(b"first", b"", 3, first.append)
        await began.wait()
        assert await outcome_of(ours, b"second") == FOUND
        await ended.wait()
    assert first == []


def test_questions_and_answers_are_read_back_equal_and_nonsense_is_refused() -> None:
    assert read_answer(answer_line(FOUND)) == FOUND
    assert read_answer(answer_line(Missed(missed="no-days"))) == Missed(missed="no-days")
    question = RehearsalQuestion("/var/lib/edged/hall.db", b"a", b"", 20, 60.0, 100.0)
    assert read_question(question_line(question)) == question
    with pytest.raises(BadMessage):
        read_question(question_line(question._replace(days=0)))
