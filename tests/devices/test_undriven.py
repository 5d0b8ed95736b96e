"""Published frames of devices without a driver: their checksums are right, and the manual says why there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAMES = json.loads((ROOT / "tests/vectors/undriven_frames.json").read_text("utf-8"))["frames"]
NAMES = {
    "alpha": ("Alpha", "Alpha"),
    "olm": ("VR 64", "VR 64"),
    "sunpn": ("Sunpn", "Sunpn"),
    "terabee": ("TeraRanger", "TeraRanger"),
}


def modbus(data: bytes) -> bool:
    crc = 0xFFFF
    for byte in data[:-2]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc == int.from_bytes(data[-2:], "little")


def sum8(data: bytes) -> bool:
    return sum(data[:-2]) & 0xFF == data[-2] and data[-1] == 0x0A


def crc8(data: bytes) -> bool:
    crc = 0
    for byte in data[:-1]:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc == data[-1]


def alpha(data: bytes) -> bool:
    begin, end = data.index(2), data.index(3)
    return f"{sum(data[begin : end + 1]) & 0xFFFF:04X}".encode() == data[end + 1 : -1] and data[-1] == 4


CHECKS: dict[str, Callable[[bytes], bool]] = {"modbus": modbus, "sum8": sum8, "crc8": crc8, "alpha": alpha}


@pytest.mark.parametrize("frame", FRAMES, ids=[frame["id"] for frame in FRAMES])
def test_published_frames_of_devices_without_a_driver_have_valid_checksums(frame: dict[str, str]) -> None:
    data = bytes.fromhex(frame["hex"])
    assert frame["source"]
    if "check" in frame:
        assert CHECKS[frame["check"]](data)
        assert (
            not CHECKS[frame["check"]](bytes((data[0], data[1] ^ 1)) + data[2:]) or frame["check"] == "alpha"
        )


def test_the_manual_explains_why_each_of_these_devices_has_no_driver() -> None:
    assert {frame["id"].split(".")[0] for frame in FRAMES} == NAMES.keys()
    for column, manual in enumerate(("README.md", "README.zh-CN.md")):
        text = (ROOT / "devices" / manual).read_text("utf-8")
        for names in NAMES.values():
            assert names[column] in text, f"{manual} does not name {names[column]}"
