"""The daemon's HTTP server: GET only, on 127.0.0.1 unless configured otherwise."""
