"""What a hall keeps on disk: the journal of steps with its state dumps, how it is written, checked, repaired, copied
and replayed.

Terms: a *step* is one event with the commands and notes that the core derived from it, numbered by ``seq``. *Hall time*
is in ms, monotonic, and goes on across restarts. A *mark* is the position and hash of a state dump. An *epoch* is a
number that grows whenever steps may have been lost, so that numbers and ids are not used twice. The *centre* is the
city's platform, which receives every event.
"""
