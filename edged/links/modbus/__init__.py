"""A Modbus bus, RTU or TCP, that many units share: its URL, its queue of requests, its frames, and which received bytes
answer a request.
"""
