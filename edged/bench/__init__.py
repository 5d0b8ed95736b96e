"""``edged bench``: measures the daemon on this machine, with its disk, its broker and its lines. Rules of this package:

* The daemon is the real one, a child process with a hall.toml of its own: validation, journal at ``synchronous=FULL``,
  metrics. The meter is another process that uses raw sockets and ptys and no MQTT library.
* Every latency is compared with peers measured in the same run through the same broker or port: a blocking raw-socket
  echo (the lower limit), a bare asyncio echo, and aiomqtt with TCP_NODELAY on a broker with TCP_NODELAY. Only the
  ratios are meaningful on another machine.
* Rounds of the sides are interleaved (A to Z, then Z to A), so that a noisy moment of the machine affects all of them.
* A *side* is the daemon or one of its peers; a *cell* is one pair of input and output lines with one rate of presses
  and of other messages; a *receiver* is a connection on which outputs arrive.
* A press is a key of a call panel; its time ends with an output that only this press can have caused.
"""
