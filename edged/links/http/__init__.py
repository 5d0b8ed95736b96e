"""HTTP between devices and the processes beside the daemon: devices post to them, or they poll devices with GET.

No module of the daemon imports this package, so that its event loop, which switches lamps, never parses HTTP.
"""
