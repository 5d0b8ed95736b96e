"""``edged bench``: measures the daemon on this machine, its disk, its broker and its wires. Rules of this package:

* The daemon is the real one, a child process with a hall.toml of its own: validation, journal at
  ``synchronous=FULL``, metrics. The meter is another process on raw sockets and ptys and holds no MQTT library.
* Beside every latency stand peers measured in the same run through the same broker or port: a blocking raw-socket
  echo (the limit), a bare asyncio echo, and aiomqtt with TCP_NODELAY on a no-delay broker. Ratios count, figures are
  examples.
* Rounds of peers are interleaved (A to Z, Z to A), so that a noisy moment of the machine hits all of them.
* A press is a call panel's key; the output that ends its clock is one that only this press can have caused.
"""
