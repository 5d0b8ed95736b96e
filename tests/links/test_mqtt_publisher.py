"""What processes that only publish (bridge, counters) log for a technician while the broker is away."""

from __future__ import annotations

import structlog

from edged.links.mqtt.publisher import ConnectionLog


def test_an_outage_is_two_lines_however_many_attempts_fail() -> None:
    with structlog.testing.capture_logs() as logs:
        outage = ConnectionLog("edged.bridge", "rows wait")
        outage.connected()
        for _ in range(3):
            outage.failed(OSError("refused"))
        outage.connected()
        outage.failed(OSError("refused"))
    assert [(line["event"], line.get("effect")) for line in logs] == [
        ("broker-connection-failed", "rows wait"),
        ("broker-connection-restored", None),
        ("broker-connection-failed", "rows wait"),
    ]


def test_another_reason_of_the_same_outage_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        outage = ConnectionLog("edged.bridge", "rows wait")
        for why in ("refused", "refused", "no route", "refused"):
            outage.failed(OSError(why))
    assert [line["error"] for line in logs] == ["refused", "no route", "refused"]
