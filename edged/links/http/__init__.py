"""HTTP between devices and helper processes beside the daemon: a device posts its reports to such a process, or the
process polls the device with GET.

No module of the daemon imports this package, so that its event loop, which switches lamps, never parses HTTP.
"""
