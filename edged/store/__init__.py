"""What the hall remembers on disk: the journal of steps, its snapshots, and how both are read again."""
