"""The faults that a simulation of the whole daemon may have, in addition to those of ``edged.sim.worlds.faults``."""

from __future__ import annotations

from dataclasses import dataclass

from edged.sim.worlds.faults import WorldFaults

SELDOM_PER_H = 1.5  # highest rate of faults that each cost a start of the daemon
OFTEN_PER_H = 6.0


@dataclass(frozen=True, slots=True)
class DaemonFaults(WorldFaults):
    """The faults of one simulation of the whole daemon, as rates (see ``WorldFaults``). ``restart_per_h``: clean stops
    of the daemon; ``wild_per_h``: malformed messages.
    """

    kill_per_h: float = 0.0  # kill -9
    cut_per_h: float = 0.0  # power cut: unsynced writes are lost in part
    fsync_per_h: float = 0.0  # a sync fails
    full_per_h: float = 0.0  # the disk is full for up to ten minutes
    slow_share: float = 0.0  # of commits: the disk takes up to two seconds
    down_per_h: float = 0.0  # the broker is away for up to three minutes
    slam_per_h: float = 0.0  # the broker closes each connection right after CONNACK, for up to a minute
    frozen_per_h: float = 0.0  # the broker accepts everything and does nothing, for up to a minute
    forget_per_h: float = 0.0  # the broker restarts without any stored data
    noise_share: float = 0.0  # serial lines lose, flip and invent bytes
    unplug_per_h: float = 0.0  # a serial line is pulled out for up to two minutes
    babble_per_h: float = 0.0  # a serial device sends random bytes for up to a minute
    card_share: float = 0.0  # an LED card is mute, late, refuses or answers garbage
    module_share: float = 0.0  # the same of a relay module
    power_per_h: float = (
        0.0  # a relay module or LED card loses its power, or its network, for up to two minutes
    )
    centre_per_h: float = 0.0  # the centre is silent for up to ten minutes, or acknowledges nonsense
    order_per_h: float = 0.0  # signed operations, each sent up to three times
    reload_per_h: float = 0.0  # a mistake in hall.toml, corrected within ten minutes
    will_per_h: float = 0.0  # the broker retains the will of a device that is online
    hang_up_share: float = 0.0  # a relay module closes the connection after an answer
    foreign_share: float = 0.0  # an answer has the number of another transaction
    locked_per_h: float = 0.0  # another program has the journal open, for up to five minutes
    stalled_per_h: float = 0.0  # the log's reader stops for up to ten minutes
    lost_end_per_h: float = 0.0  # killed, and the disk loses the last transactions although they were synced

    @classmethod
    def top(cls, name: str) -> float:
        """Return the highest rate that may be drawn for the fault ``name``."""
        if name in ("kill_per_h", "cut_per_h", "restart_per_h", "fsync_per_h", "lost_end_per_h"):
            return SELDOM_PER_H
        return OFTEN_PER_H if name.endswith("_per_h") else 0.2
