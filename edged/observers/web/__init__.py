"""The hall's HTTP side: read-only, GET only, on this machine unless configured otherwise."""
