"""What people look at in a browser: ``edged web``, a process of its own beside the daemon. Rules of this folder:

* It lives on what the daemon publishes (``hall/{hall}/page/#``, retained) and on days that it recorded itself. It never
  opens the journal, and nothing of the daemon imports it: killed, starved or attacked it costs the hall nothing.
* A page is one file of HTML with its CSS and modules of JavaScript under ``files/``: no build, no other host, no inline
  code. One module of Python per page says which addresses it has (``routes``).
* Pages show names and numbers. GET only, except for what ``guard.WRITES`` names.
* Every connection, stream and buffer has a cap; a reader that does not read is dropped.
"""
