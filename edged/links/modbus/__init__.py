"""One Modbus bus, RTU or TCP, shared by many units: where it is, what is asked next, and whether this is the answer."""
