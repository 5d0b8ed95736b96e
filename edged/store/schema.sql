-- Version 1 of the journal. Every later version is a script of its own in database.py, never an edit of this file.
--
-- A row of `steps` is an accepted input and what the core answered, or (kind 'Tick', event NULL) a due time of
-- which something came: an output record that replay regenerates and compares. No personal data enters any table.

CREATE TABLE meta (
  k TEXT PRIMARY KEY,
  v TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
  seq      INTEGER PRIMARY KEY,
  at_ms    INTEGER NOT NULL,  -- hall time of the step
  wall_ms  INTEGER NOT NULL,  -- wall time of the commit: a label, never an input of replay
  kind     TEXT NOT NULL,     -- class name of the event
  src      TEXT NOT NULL,     -- point the event came from, '' where it has none
  event    BLOB,              -- JSON of the event's fields; NULL for a tick
  commands BLOB,              -- JSON list; NULL for none
  notes    BLOB,              -- JSON list; NULL for none
  chain    BLOB NOT NULL      -- SHA-256 over the previous row's chain and this row
) STRICT;

CREATE TABLE policy (
  version  INTEGER PRIMARY KEY,
  sha256   TEXT NOT NULL,     -- over the payload bytes, as in the step PolicyApplied
  envelope BLOB NOT NULL,     -- as received, signatures included
  seq      INTEGER NOT NULL,  -- the step that applied it last
  at_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE snapshots (
  seq    INTEGER NOT NULL,    -- state after this step ...
  at_ms  INTEGER NOT NULL,    -- ... and after every tick due up to this hall time
  sha256 TEXT NOT NULL,       -- over the blob; kept as a mark for replay when the blob is dropped
  chain  BLOB NOT NULL,       -- chain of step `seq`, so that a tail can be checked without its beginning
  blob   BLOB,
  PRIMARY KEY (seq, at_ms)
) STRICT, WITHOUT ROWID;
