"""Templates of device descriptions, one per driver, each valid as it is: ``edged devices new`` writes them."""

from __future__ import annotations

_HEAD = """# A description of a device. Keys and their meaning: devices/README.md; shipped ones are examples.
# 设备描述文件。各键含义见 devices/README.zh-CN.md，随产品提供的文件即示例。
title = "What it is, with maker and model"
title_zh = "设备名称、厂家、型号"
source = "the paper, page or capture that the numbers below come from"
verified = "nothing"        # hardware | independent code | document | nothing
wiring = ""
wiring_zh = ""
"""

SCAFFOLDS: dict[str, str] = {
    "modbus_relay": _HEAD
    + """channels = 8
base = 0                    # address of the first coil on the wire (Modicon number minus 1)
unit = 1                    # from the factory
write = "coil"              # coil: FC05; register: FC06 (then reads = false)
on = 0xFF00
off = 0x0000
reads = true                # coils can be read back by FC01
# pulse_on = 0x0200         # where the module has a coil that goes off by itself after value x 100 ms
# blinks = [[1.0, 0xF100]]  # where the module blinks by itself: Hz and value; left out, edged switches it on and off

[[examples]]                # at least one: the request in hex, without unit and checksum
channel = 0
level = "on"
sends = "05 0000 FF00"
""",
    "modbus_map": _HEAD
    + """unit = 1

[contacts]                  # buttons and beams; leave out what it has not
read = "input"              # input: FC02; coil: FC01
address = 0
count = 8
closed = 1                  # the bit of a closed contact

[[examples]]                # a captured answer in hex, and which contacts it says are closed
answer = "02 01 05"
inputs_on = [0, 2]
""",
    "mqtt_map": _HEAD
    + """silent_s = 0                # seconds without a word until it counts as lost; 0: it has a presence below

[[inputs]]
event = "key"               # key, rating, count, presence, gateway, fault
topic = "devices/{topic}/state"   # {topic}: what hall.toml gives
pointer = "/action"         # JSON pointer (RFC 6901); "" where the payload is one word
values = { single = "next-or-recall", hold = "pause", "" = "" }

[[inputs]]
event = "presence"
topic = "devices/{topic}/availability"
values = { online = "online", offline = "offline" }

[[examples]]                # a captured payload, and what must come of it
topic = "devices/{topic}/state"
payload = '{"action":"single"}'
event = "key next-or-recall"
""",
}
