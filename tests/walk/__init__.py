"""A stranger walks through a hall: every practice of the product on real wires, from outside, and prints what works.

``python -m tests.walk`` starts mosquitto, a Modbus module (pymodbus's own server), a serial line and the daemon, and
then plays visitors and clerks with raw bytes. It shares no code with the drivers' fakes. Exit code 1: not all works.
"""
