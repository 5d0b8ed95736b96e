"""One Modbus bus, RTU or TCP, shared by many units: its address, its queue of requests, which bytes are an answer."""
