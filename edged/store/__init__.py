"""What a hall keeps on disk: the journal of steps with its state dumps, how it is written, checked, repaired, copied
and replayed.
"""
