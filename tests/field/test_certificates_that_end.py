"""Whose certificate ends is told a month before, and in the right words after: the hall's own, and the broker's, which
only its handshakes show. A file that was spoilt while the link was up is said, and what it held before serves on.

Known elsewhere: the expiry of an intermediate certificate on 30 September 2021 (DST Root CA X3) darkened clients whose
files nobody had touched; mosquitto serves its old certificate until it is told SIGHUP, so files alone prove nothing.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from edged.central.envelope import public_entry
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import watching
from tests.support.daemons import Daemon, Hall, Machines, edged
from tests.support.guarded import guarded_hall
from tests.support.policies import KEY, document, envelope

Parts = tuple[Hall, Daemon, Machines]


def health(files: Hall) -> dict[str, object]:
    found: dict[str, object] = json.loads(files.get("/healthz")[1])
    return found


async def test_certificates_of_broker_and_controller_raise_an_alarm_in_their_last_month(
    tmp_path: Path,
) -> None:
    async with guarded_hall(tmp_path, broker_days=1, own_days=2) as guarded:
        await guarded.daemon.start()
        await until(lambda: "certificate-ends/broker" in str(health(guarded.files)["alarms"]))
        now = await asyncio.to_thread(health, guarded.files)
        assert "certificate-ends/edged.pem" in str(now["alarms"])
        assert "ends in 0 days" in str(now["concerns"])
        assert 'edged_certificate_end_timestamp_seconds{file="broker"}' in guarded.files.get("/metrics")[1]


async def test_an_expired_broker_certificate_is_named_as_the_reason_in_healthz(tmp_path: Path) -> None:
    async with guarded_hall(tmp_path, broker_days=-1) as guarded:
        await guarded.daemon.start()
        await until(lambda: health(guarded.files)["mqtt_reason"] == "the broker's certificate has ended")


async def test_a_certificate_not_yet_valid_is_reported_with_a_hint_at_the_clock(tmp_path: Path) -> None:
    """github.com/espressif/esp-at/issues/432 and github.com/wez/mosquitto-rs/issues/11: a machine without a battery
    begins its day in the past.
    """
    async with guarded_hall(tmp_path, broker_begins_days=1) as guarded:
        await guarded.daemon.start()
        why = "the broker's certificate is not valid yet by this machine's clock"
        await until(lambda: health(guarded.files)["mqtt_reason"] == why)


async def test_our_own_expired_certificate_is_named_as_the_reason(tmp_path: Path) -> None:
    """The broker closes the socket; TLS's alert says why."""
    async with guarded_hall(tmp_path, own_days=-1) as guarded:
        await guarded.daemon.start()
        await until(lambda: "certificate expired" in str(health(guarded.files)["mqtt_reason"]))
        assert "our certificate" in str(health(guarded.files)["mqtt_reason"])


async def test_a_link_reconnects_with_the_old_certificates_if_the_files_are_damaged(tmp_path: Path) -> None:
    """Half a file on the disk, and then the broker restarts."""
    async with guarded_hall(tmp_path) as guarded:
        await guarded.daemon.start()
        await until(lambda: guarded.daemon.logged("link-up") != [])
        for name in ("hall-ca.pem", "edged.key"):
            (tmp_path / name).write_text("-----BEGIN")
        await until(lambda: "file-refused/edged.pem" in str(health(guarded.files)["alarms"]))
        assert "file-refused/hall-ca.pem" in str(health(guarded.files)["alarms"])
        code = await asyncio.to_thread(edged, "reload", "--config", str(guarded.files.file))
        assert code.returncode == 1
        assert "hall-ca.pem" in code.stderr
        await guarded.broker.stop()
        await guarded.broker.start()
        await until(lambda: len(guarded.daemon.logged("link-up")) == 2)


async def test_a_damaged_policy_key_file_leaves_the_earlier_keys_in_force(
    hall: Parts, broker: Mosquitto
) -> None:
    """A start with half a key file takes the city's policies by the keys it had, and says so."""
    files, daemon, _machines = hall
    keys = files.directory / "city.pub.json"
    keys.write_text(json.dumps({"keys": [public_entry(KEY.public_key(), "city")]}))
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
    await daemon.start()
    assert await daemon.stop() == 0
    keys.write_text('{"keys": [')
    await daemon.restart()
    await until(lambda: "file-refused/city.pub.json" in str(health(files)["alarms"]))
    async with (
        plain_client(broker, "centre") as centre,
        watching(broker, "hall/east/policy/report") as reports,
    ):
        await centre.publish("hall/east/policy/push", policy_envelope(1), qos=1)
        await until(lambda: reports != [] and reports[-1]["applied"]["version"] == 1)


def policy_envelope(version: int) -> bytes:
    return envelope(document(version=version, halls=["east"], body={}))
