"""Device drivers by name. To add one: copy a folder (codec, driver, fake), then add its line here.

A hall can also have a driver of its own: an installed Python package with an entry point in the group
``edged.drivers``. The entry point's name is what hall.toml writes, its value is ``module:class`` as below. It cannot
replace a driver in this list.
"""

from __future__ import annotations

ENTRY_POINTS = "edged.drivers"

# name in hall.toml -> "module:class" (imported only where the hall uses it)
REGISTRY: dict[str, str] = {
    "candle485": "devices.candle485.driver:Candle485",
    "escpos": "devices.escpos.driver:Escpos",
    "evdev": "devices.evdev.driver:Evdev",
    "ff68": "devices.ff68.driver:Ff68",
    "http_counter": "devices.http_counter.driver:HttpCounter",
    "ledsender2010": "devices.ledsender2010.driver:LedSender",
    "milesight_mqtt": "devices.milesight_mqtt.driver:MilesightMqtt",
    "modbus_map": "devices.modbus_map.driver:ModbusMap",
    "modbus_relay": "devices.modbus_relay.driver:ModbusRelay",
    "mqtt_json": "devices.mqtt_json.driver:MqttJson",
    "mqtt_map": "devices.mqtt_map.driver:MqttMap",
    "onbon_bx": "devices.onbon_bx.driver:OnbonBx",
    "sms": "devices.webhook.sms:Sms",
    "voice_chip": "devices.voice_chip.driver:VoiceChip",
    "webhook": "devices.webhook.driver:Webhook",
}


def place_of(driver: str) -> str | None:
    """Return the "module:class" of a driver by its name in hall.toml. Built-in drivers come first, then those of Python
    packages installed in this hall. None if no driver has that name.
    """
    if driver in REGISTRY:
        return REGISTRY[driver]
    from importlib.metadata import entry_points  # 0.8 MiB that a hall of our own drivers does without

    found = entry_points(group=ENTRY_POINTS, name=driver)
    return next((one.value for one in found), None)
