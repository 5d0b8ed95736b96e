"""People counters that report over HTTP: Hikvision, Dahua, Xovis, AXIS, Terabee."""
