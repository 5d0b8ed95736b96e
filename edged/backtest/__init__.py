"""The backtest: runs recorded or invented days of visitors through the daemon's own core, in virtual time.

Rules: ``runner`` feeds the very ``Engine`` the daemon runs; ``model`` is a small simulator of the same mechanics (one
area, first come first served) for simple baselines, for the plan of somebody who knows the future, and as a check
of the first. Times are whole milliseconds of hall time after opening; results are in minutes, the unit of the prices.
"""

from __future__ import annotations
