"""Steps on their way to the disk: alone they go at once, in a rush several go together, and none is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from edged.store import commit_batcher
from edged.store.commit_batcher import GATHER_MAX, CommitBatcher
from edged.store.writer import WriterJob


class Disk:
    """A fake disk that collects batches and reports them as committed when the test says so."""

    def __init__(self) -> None:
        self.batches: list[Sequence[WriterJob]] = []
        self.batcher = CommitBatcher(self.batches.append)

    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]

    def reported(self, steps: int) -> None:
        self.batcher.reported(len(self.batches[-1]), steps)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the batcher gather steps behind a commit for longer than any test lasts."""
    monkeypatch.setattr(commit_batcher, "GATHER_S", 60.0)
    monkeypatch.setattr(commit_batcher, "GATHER_LONG_S", 60.0)


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_jobs_put_in_one_turn_of_the_loop_are_written_as_one_batch_in_the_next() -> None:
    disk = Disk()
    for _ in range(3):
        disk.batcher.put(WriterJob())
    assert disk.sizes() == [], "lamps of this turn leave before the writer wakes"
    await turns()
    assert disk.sizes() == [3]


async def test_jobs_put_during_a_commit_are_written_as_one_batch_after_it() -> None:
    disk = Disk()
    disk.batcher.put(WriterJob())
    await turns()
    for _ in range(4):
        disk.batcher.put(WriterJob())
    await turns()
    assert disk.sizes() == [1]
    disk.reported(steps=0)
    await turns()
    assert disk.sizes() == [1, 4]


async def test_jobs_right_after_a_commit_wait_for_more_but_only_for_a_limited_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commit_batcher, "GATHER_S", 0.5)
    monkeypatch.setattr(commit_batcher, "GATHER_LONG_S", 0.5)
    disk = Disk()
    disk.batcher.put(WriterJob())
    await turns()
    disk.reported(steps=1)
    disk.batcher.put(WriterJob())
    await turns()
    assert disk.sizes() == [1]
    async with asyncio.timeout(30):
        while disk.sizes() != [1, 1]:
            await asyncio.sleep(0.005)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("urgent", [WriterJob(stop=True), "waiter"])
async def test_a_job_somebody_waits_for_is_written_at_once_with_all_jobs_before_it(
    urgent: WriterJob | str,
) -> None:
    disk = Disk()
    disk.batcher.put(WriterJob())
    await turns()
    disk.reported(steps=1)
    disk.batcher.put(WriterJob())
    if isinstance(urgent, str):
        urgent = WriterJob(waiter=asyncio.get_running_loop().create_future())
    disk.batcher.put(urgent)
    assert disk.sizes() == [1, 2]
    assert disk.batches[1][1] is urgent


@pytest.mark.usefixtures("patient")
async def test_jobs_are_written_at_once_when_as_many_wait_as_one_batch_may_hold() -> None:
    disk = Disk()
    disk.batcher.put(WriterJob())
    await turns()
    disk.reported(steps=1)
    for _ in range(2 * GATHER_MAX + 1):
        disk.batcher.put(WriterJob())
    assert disk.sizes() == [1, GATHER_MAX, GATHER_MAX]
    disk.batcher.reported(GATHER_MAX, GATHER_MAX)
    disk.batcher.reported(GATHER_MAX, 0)
    disk.batcher.put(WriterJob(stop=True))
    assert disk.sizes() == [1, GATHER_MAX, GATHER_MAX, 2], "the last one was not forgotten"
