"""People counters that speak HTTP: Hikvision, Dahua, Xovis, AXIS, Terabee."""
