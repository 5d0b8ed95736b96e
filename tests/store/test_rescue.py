"""A damaged, lost or rolled-back file: put aside, carried over as far as it can be proven, told, and never twice."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.observer import Step
from edged.store.journal import Journal
from edged.store.keep import keep_path, read_keep
from edged.store.records import ALONE, Attachments
from tests.support.journals import envelope_of, key_step, open_journal, policy_step, steps_in

STEPS = 200
DUMP_AT = 120
FRAME_BYTES = 24 + 4096  # of a WAL: a header and a page


async def _write_day(path: Path) -> None:
    """Steps 1..200, policy 7 as step 50, a state dump after step 120."""
    async with open_journal(path) as journal:
        for seq in range(1, STEPS + 1):
            step = policy_step(seq, 7) if seq == 50 else key_step(seq)
            journal.append(step, attachments=Attachments(envelope_of(7)) if seq == 50 else ALONE)
            if seq == DUMP_AT:
                journal.snapshot({"served": seq}, seq, seq * 10)
        await journal.drain()


def _flip_page_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 4096 + 16] = b"\xff" * 16
    path.write_bytes(data)


def _flip_last_event(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.rindex(b'"seq":200')
    data[at + 6 : at + 9] = b"999"  # SQLite's own check sees nothing here
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9000])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "page header": _flip_page_header,
    "flipped content": _flip_last_event,
    "truncated": _truncate,
    "zero length": lambda path: path.write_bytes(b""),
    "not a database": lambda path: path.write_bytes(b"hello " * 4000),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_a_damaged_journal_is_rescued_up_to_the_last_verifiable_step(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    await _write_day(path)
    DAMAGES[name](path)
    damaged = path.read_bytes() if path.exists() else None

    journal = Journal.open(path)
    restored = journal.restore(dict)
    tail = list(restored.tail)
    assert journal.epoch == 2
    assert len(journal.notices) == 1
    assert "moved to quarantine" in journal.notices[0]
    assert (restored.state, restored.seq) == ({"served": DUMP_AT}, DUMP_AT), (
        "the dump survives in one copy or other"
    )
    assert DUMP_AT <= journal.last_seq <= STEPS
    assert tail == [key_step(seq) for seq in range(DUMP_AT + 1, journal.last_seq + 1)]
    if name == "flipped content":
        assert journal.last_seq == STEPS - 1, "only the step that was changed is lost"
    policies = journal.policies()
    assert policies.high_water == 7
    assert policies.last_good is not None
    assert policies.last_good.envelope == envelope_of(7)
    journal.close()
    aside = [file for file in (tmp_path / "quarantine").glob("hall.db.*") if file.suffix[1:].isdigit()]
    if damaged:
        assert [file.read_bytes() for file in aside] == [damaged]

    again = Journal.open(path)
    assert (again.epoch, again.notices) == (2, ()), "the same damage never counts twice"
    again.close()


async def test_steps_are_written_and_kept_after_a_rescue(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    await _write_day(path)
    path.write_bytes(b"")
    async with open_journal(path) as journal:
        assert journal.last_seq == DUMP_AT
        journal.append(key_step(DUMP_AT + 1))
        await journal.drain()
    assert Journal.open(path, read_only=True).last_seq == DUMP_AT + 1


async def test_a_lost_wal_file_is_noticed_and_begins_a_new_epoch(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    source = tmp_path / "live.db"
    async with open_journal(source) as journal:
        journal.append(key_step(1))
        await journal.drain()
    async with open_journal(source) as journal:
        journal.append(key_step(2))
        journal.snapshot({"served": 2}, 2, 20)
        async with asyncio.timeout(5):
            while read_keep(source).seq != 2:
                await asyncio.sleep(0.01)
        shutil.copy(source, path)  # the main file alone: step 2 stands in the WAL
        shutil.copy(keep_path(source), keep_path(path))
    journal = Journal.open(path)
    assert (journal.epoch, journal.last_seq) == (2, 2)
    assert "the file ends at step 1 of epoch 1; more was committed" in journal.notices[0]
    assert journal.restore(dict).state == {"served": 2}
    journal.close()


async def test_a_journal_replaced_by_an_old_copy_keeps_the_highest_policy_version(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    await _write_day(path)
    old = path.read_bytes()
    async with open_journal(path) as journal:
        journal.append(policy_step(STEPS + 1, 9), attachments=Attachments(envelope_of(9)))
        await journal.drain()
    path.write_bytes(old)
    journal = Journal.open(path)
    assert journal.epoch == 2, "the centre must learn that this is another history"
    assert journal.policies().high_water == 9
    assert journal.last_seq == STEPS
    journal.close()


async def test_a_destroyed_journal_without_a_second_copy_starts_empty(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    await _write_day(path)
    keep_path(path).unlink()
    path.write_bytes(b"hello " * 4000)
    journal = Journal.open(path)
    restored = journal.restore(dict)
    assert (restored.state, restored.last_seq, list(restored.tail)) == (None, 0, [])
    assert journal.notices
    journal.close()


async def test_a_truncated_second_copy_is_ignored_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    await _write_day(path)
    text = keep_path(path).read_bytes()
    assert read_keep(path).high_water == 7
    keep_path(path).write_bytes(text[:-20])
    assert read_keep(path).epoch == 0
    journal = Journal.open(path)
    assert (journal.notices, journal.epoch, journal.last_seq) == ((), 1, STEPS)
    journal.close()
    assert read_keep(path).high_water == 7, "written anew"


async def test_a_rescue_interrupted_before_its_end_is_finished_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edged.store import rescue

    path = tmp_path / "hall.db"
    await _write_day(path)
    path.write_bytes(b"hello " * 4000)
    with monkeypatch.context() as patch:
        patch.setattr(rescue, "_finish_swap", lambda path: None)  # the power goes before the swap
        with pytest.raises(Exception, match="not a database"):
            Journal.open(path)
    journal = Journal.open(path)
    assert (journal.last_seq, journal.epoch) == (DUMP_AT, 2)
    assert journal.restore(dict).state == {"served": DUMP_AT}
    journal.close()


async def test_a_start_succeeds_whatever_random_damage_the_journal_has(tmp_path: Path) -> None:
    seed = int(os.environ.get("EDGED_SEED", random.randrange(2**32)))
    print(f"reproduce with EDGED_SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    chance = random.Random(seed)
    source = tmp_path / "source" / "hall.db"
    await _write_day(source)
    whole = source.read_bytes()
    for cycle in range(60):
        path = tmp_path / str(cycle) / "hall.db"
        path.parent.mkdir()
        if chance.random() < 0.5:
            shutil.copy(keep_path(source), keep_path(path))
        data = bytearray(whole)
        for _ in range(chance.choice((1, 8, 200))):
            data[chance.randrange(100, len(data))] = chance.randrange(256)  # the header itself: see above
        path.write_bytes(data)
        journal = Journal.open(path)
        restored = journal.restore(dict)
        # Where the damage hit a dump's hash, recovery begins before it, and the dump's place is in the tail as well.
        steps = [entry for entry in restored.tail if isinstance(entry, Step)]
        first = restored.seq + 1
        expected = [policy_step(s, 7) if s == 50 else key_step(s) for s in range(first, first + len(steps))]
        assert steps == expected, f"a wrong step was believed: seed={seed} cycle={cycle}"
        assert journal.last_seq == restored.seq + len(steps)
        journal.close()
        again = Journal.open(path)
        assert again.notices == (), f"seed={seed} cycle={cycle}"
        assert again.epoch == (2 if journal.notices else 1), f"seed={seed} cycle={cycle}"
        again.close()


def test_opening_a_damaged_journal_read_only_leaves_the_file_in_place(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    path.write_bytes(b"hello " * 4000)
    with pytest.raises(Exception, match="not a database"):
        Journal.open(path, read_only=True)
    assert path.read_bytes() == b"hello " * 4000


def _copy_as_killed(source: Path, path: Path, frames: int | None) -> None:
    """Copy the files of an open journal, as a kill leaves them, without the last ``frames`` of the WAL (None: all)."""
    for suffix in ("", "-wal", ".keep", ".mark", ".renewed"):
        part = source.with_name(source.name + suffix)
        if part.exists():
            shutil.copy(part, path.with_name(path.name + suffix))
    wal = path.with_name(path.name + "-wal")
    content = wal.read_bytes()
    wal.write_bytes(b"" if frames is None else content[: len(content) - frames * FRAME_BYTES])


async def _one_by_one(journal: Journal, count: int) -> None:
    for _ in range(count):
        journal.append(key_step(journal.last_seq + 1))
        await journal.drain()


async def test_a_journal_that_lost_its_last_steps_keeps_all_steps_before_them(tmp_path: Path) -> None:
    live, path = tmp_path / "live.db", tmp_path / "hall.db"
    async with open_journal(live) as journal:
        await _one_by_one(journal, 6)
        journal.snapshot({"served": 6}, 6, 60)
        await _one_by_one(journal, 6)
        _copy_as_killed(live, path, 1)
    async with open_journal(path) as journal:
        assert (journal.epoch, journal.last_seq) == (2, 11)
        assert journal.renewal is not None
        assert (journal.renewal.why, journal.renewal.lost) == ("cut", 1)
        assert not (tmp_path / "quarantine").exists()
        assert [step.seq for step in steps_in(path)] == list(range(1, 12)), "also those before the dump"
        await _one_by_one(journal, 1)
    again = Journal.open(path)
    assert (again.epoch, again.last_seq, again.notices) == (2, 12, ())
    again.close()


@pytest.mark.parametrize("kept", [True, False])
async def test_a_journal_that_loses_its_end_twice_skips_the_numbers_of_both_losses(
    kept: bool, tmp_path: Path
) -> None:
    """The step that records which numbers to skip may itself be lost the second time."""
    live, path, third = tmp_path / "live.db", tmp_path / "hall.db", tmp_path / "third" / "hall.db"
    third.parent.mkdir()
    async with open_journal(live) as journal:
        await _one_by_one(journal, 10)
        _copy_as_killed(live, path, 4)
    async with open_journal(path) as journal:
        assert journal.renewal is not None
        lost = journal.renewal.lost
        await _one_by_one(journal, 1)
        if kept:
            journal.renewal_kept()
            await journal.drain()
        await _one_by_one(journal, 2)
        _copy_as_killed(path, third, None)
    again = Journal.open(third)
    assert again.epoch == 3
    assert again.renewal is not None
    assert again.renewal.lost == (2 if kept else 3 + lost)
    again.close()
