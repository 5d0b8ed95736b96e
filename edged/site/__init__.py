"""Tools of a technician on site: installation bundle, Debian package, backup, diagnosis, certificates. The daemon
does not import them.
"""
