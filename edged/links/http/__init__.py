"""HTTP between devices and processes beside the daemon: devices post here, or are asked by GET.

No module of the daemon imports this package: nobody parses HTTP in the loop that lights lamps.
"""
