"""Device drivers. To add one: copy a folder (codec, driver, fake), then add its line here."""

from __future__ import annotations

# name in hall.toml -> "module:class" (imported only where the hall uses it)
REGISTRY: dict[str, str] = {
    "candle485": "devices.candle485.driver:Candle485",
    "milesight_mqtt": "devices.milesight_mqtt.driver:MilesightMqtt",
    "modbus_relay": "devices.modbus_relay.driver:ModbusRelay",
    "mqtt_json": "devices.mqtt_json.driver:MqttJson",
    "onbon_bx": "devices.onbon_bx.driver:OnbonBx",
}
