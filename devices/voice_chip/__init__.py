"""Voice modules SYN6288 and XFS5152CE: an area's loudspeaker on a serial line."""
