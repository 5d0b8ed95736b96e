"""The web pages of the hall for its staff and visitors: ``edged web``, a process of its own beside the daemon. Rules of
this folder:

* Its only data are messages that the daemon retains (``hall/{hall}/page/#``, the hall's status and open cases) and the
  days it recorded from them. It never opens the journal, and the daemon imports nothing of it: if it is killed, starved
  or attacked, the hall is not affected.
* A page is one HTML file with its CSS and JavaScript modules under ``files/``: no build step, no other host, no inline
  code. One Python module per page lists its addresses (``routes``).
* Pages show names and numbers. GET only, except for the paths in ``guard.WRITES``.
* Every connection, stream and buffer has a cap; a client that does not read is disconnected.
"""
