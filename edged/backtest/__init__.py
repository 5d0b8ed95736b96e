"""The backtest: runs recorded or invented days of visitors through the daemon's own core, in virtual time.

``runner`` uses the same ``Engine`` as the daemon. ``model`` is a small simulator of the same mechanics (one area, first
come first served) for simple baselines and for the clairvoyant plan, which knows all arrivals in advance; it also
checks ``runner``. Times are whole milliseconds of hall time after opening; results are in minutes, the unit of the
prices.
"""

from __future__ import annotations
