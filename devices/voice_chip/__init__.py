"""Speech modules SYN6288 and XFS5152CE on a serial line: the loudspeaker of an area."""
