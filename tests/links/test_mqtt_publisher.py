"""What processes that only publish (bridge, counters) log for a technician while the broker is away."""

from __future__ import annotations

import structlog

from edged.links.mqtt.publisher import ConnectionLog


def test_an_outage_logs_one_line_at_its_start_and_one_at_its_end() -> None:
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


def test_a_new_reason_of_the_same_outage_is_logged_once() -> None:
    with structlog.testing.capture_logs() as logs:
        outage = ConnectionLog("edged.bridge", "rows wait")
        for why in ("refused", "refused", "no route", "refused"):
            outage.failed(OSError(why))
    assert [line["error"] for line in logs] == ["refused", "no route", "refused"]
