"""One Modbus bus, RTU or TCP, shared by many units: how to reach it, what is asked next, which bytes are an answer."""
