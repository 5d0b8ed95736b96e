"""Voice modules: published frames byte for byte, and announcements on a real pty that are never cut off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.voice_chip.codec import TEXT_BYTES_MAX, Chip, frame, parts, speak
from devices.voice_chip.driver import VoiceChip, VoiceChipOptions
from devices.voice_chip.fake import FakeVoice
from edged.core.model.commands import Action, Lamp, Print, Say
from edged.core.model.events import DeviceBack, DeviceLost
from edged.core.model.point import Point
from edged.driver import Refused, Unreachable
from edged.links.pty import Pty
from edged.shapes import read
from tests.support.brokers import until
from tests.support.listening_core import ListeningCore

FRAMES = {
    one["id"]: bytes.fromhex(one["hex"])
    for one in json.loads((Path(__file__).parents[1] / "vectors/voice_frames.json").read_text())["frames"]
}
CALL = "请A012号到3号窗口"
VOICE = Point("v")


def test_voice_frames_have_the_published_bytes() -> None:
    assert speak("syn6288", CALL) == FRAMES["syn6288.call.gbk"]
    assert frame("syn6288", 1, b"\x00" + CALL.encode("gb2312")) == FRAMES["syn6288.call"]
    assert speak("syn6288", "宇音天下") == FRAMES["syn6288.yuyin.gbk"]
    assert frame("syn6288", 1, b"\x09" + "宇音天下".encode("gbk")) == FRAMES["syn6288.yuyin.bg1"]
    assert speak("syn6288", "[v11]") == FRAMES["syn6288.vol11"]
    assert frame("syn6288", 0x31, b"\x00") == FRAMES["syn6288.baud9600"]
    for name, command in (("stop", 2), ("pause", 3), ("resume", 4), ("powerdown", 0x88)):
        assert frame("syn6288", command) == FRAMES[f"syn6288.{name}"]
    assert speak("xfs5152", CALL) == FRAMES["xfs.call"]
    assert frame("xfs5152", 1, b"\x00[v9]") == FRAMES["xfs.vol9"]
    for name, command in (("stop", 2), ("resume", 4), ("status", 0x21), ("sleep", 0x88)):
        assert frame("xfs5152", command) == FRAMES[f"xfs.{name}"]


@given(text=st.text(max_size=300), chip=st.sampled_from(["syn6288", "xfs5152"]), slow=st.booleans())
def test_any_spoken_text_is_cut_between_characters_and_contains_no_command(
    text: str, chip: Chip, slow: bool
) -> None:
    for part in parts(chip, text, slow):
        assert len(part.encode("gbk")) <= TEXT_BYTES_MAX[chip]
        assert (part.count("["), part.count("]"), len(part) > 4) == (1, 1, True)


@given(chunks=st.lists(st.binary(max_size=12), max_size=8))
def test_any_bytes_from_the_voice_module_are_answers_or_counted_as_noise(chunks: list[bytes]) -> None:
    core = ListeningCore("v")
    driver = VoiceChip(core.context, read(VoiceChipOptions, {"path": "/nowhere"}))
    for chunk in chunks:
        driver._received(chunk)
    assert driver._answers <= {0x41, 0x45, 0x4A, 0x4E, 0x4F}
    assert set(core.rejections.reasons) <= {"noise"}


def test_an_idle_byte_before_the_acknowledgement_does_not_end_the_new_text() -> None:
    driver = VoiceChip(ListeningCore("v").context, read(VoiceChipOptions, {"path": "/nowhere"}))
    driver._received(b"\x4f\x41")
    assert driver._answers == {0x41}
    driver._received(b"\x4f")
    assert driver._answers == {0x41, 0x4F}


class Speaker:
    """A driver and a fake voice module on a pty."""

    def __init__(self, folder: Path, chip: Chip) -> None:
        self.core = ListeningCore("v", speed=20.0)
        self.port = Pty(folder / "port")
        self.port.plug()
        self.fake = FakeVoice(self.port.send, checksum=chip == "syn6288")
        options = read(VoiceChipOptions, {"path": self.port.path, "chip": chip, "deadline_ms": 100})
        self.driver = VoiceChip(self.core.context, options)

    async def speak(self, text: str, slow: bool = False) -> None:
        await self.driver.act(Action("1", VOICE, Say(text, "", "", slow)))


@asynccontextmanager
async def speaker(folder: Path, chip: Chip = "syn6288") -> AsyncIterator[Speaker]:
    made = Speaker(folder, chip)
    async with asyncio.TaskGroup() as group:
        far = group.create_task(made.port.run(made.fake.feed, lambda _up, _why: None))
        life = group.create_task(made.driver.run())
        try:
            await until(lambda: DeviceBack(VOICE) in made.core.events)
            yield made
        finally:
            far.cancel()
            life.cancel()
            made.port.close()


@pytest.mark.parametrize("chip", ["syn6288", "xfs5152"])
async def test_announcements_follow_each_other_and_none_is_cut_off(chip: Chip, tmp_path: Path) -> None:
    async with speaker(tmp_path, chip) as made, asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(made.speak(f"{CALL}{number}", slow=number == 4))
    assert [text[4:] for text in made.fake.spoken] == [f"{CALL}{number}" for number in range(5)]
    assert (made.fake.cut, made.fake.broken) == (0, 0)
    assert made.fake.spoken[4][:4] != made.fake.spoken[0][:4], "slowly, and only that one"
    assert made.core.events == [DeviceBack(VOICE)]


async def test_a_rejected_text_is_refused_and_a_silent_module_is_lost_and_back_within_three_seconds(
    tmp_path: Path,
) -> None:
    async with speaker(tmp_path) as made:
        made.fake.mood = "rejects"
        with pytest.raises(Refused, match="rejects"):
            await made.speak(CALL)
        for mood in ("silent", "babbles"):
            made.fake.mood = mood
            await until(lambda: isinstance(made.core.events[-1], DeviceLost))
            with pytest.raises(Unreachable):
                await made.speak(CALL)
            made.fake.mood = "well"
            async with asyncio.timeout(3):
                await until(lambda: made.core.events[-1] == DeviceBack(VOICE))
        assert "noise" in made.core.rejections.reasons
        await made.speak(CALL)
        assert len(made.fake.spoken) == 1
        for wrong in (Print("A1", "s", 0),):
            with pytest.raises(Refused):
                await made.driver.act(Action("2", VOICE, wrong))
        with pytest.raises(Refused):
            await made.driver.show(VOICE, Lamp("on"))


async def test_after_a_lost_idle_byte_the_module_is_asked_for_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.voice_chip.driver.SPOKEN_S_MAX", 0.2)
    async with speaker(tmp_path) as made:
        made.fake.mood = "never-idle"
        await made.speak(CALL)
    assert made.fake.spoken


async def test_a_voice_module_whose_adapter_is_pulled_is_lost_and_returns_when_plugged_in(
    tmp_path: Path,
) -> None:
    async with speaker(tmp_path) as made:
        made.port.unplug()
        await until(lambda: isinstance(made.core.events[-1], DeviceLost))
        made.port.plug()
        async with asyncio.timeout(3):
            await until(lambda: made.core.events[-1] == DeviceBack(VOICE))
        await made.speak(CALL)
        assert made.fake.spoken[-1].endswith(CALL)


@pytest.mark.parametrize("length", [98, 99, 196, 197, 500])
def test_a_long_text_is_cut_where_a_module_frame_is_full(length: int) -> None:
    """SYN6288: 200 bytes of GBK, the speed among them; every part but the last is as long as it may be."""
    spoken_parts = parts("syn6288", "号" * length)
    room = (TEXT_BYTES_MAX["syn6288"] - len("[t4]")) // 2
    assert [len(one) - len("[t4]") for one in spoken_parts] == [room] * (length // room) + [length % room][
        : length % room
    ]
