"""The link to the hall's MQTT broker, which reconnects for ever. The most frequent packets are encoded and decoded
here, the others by paho and aiomqtt.
"""
