-- Version 2: `steps.commands` and `snapshots.blob` may be packed (packing.py); an older program cannot read that.
-- Which business day of the hall a dump belongs to; NULL where the hall does not know the date, and before version 2.
ALTER TABLE snapshots ADD COLUMN day INTEGER;
