"""HTTP as a wire of devices, for processes beside the daemon: they post here, or are asked politely.

No module of the daemon imports this package: nobody parses HTTP in the loop that lights lamps.
"""
