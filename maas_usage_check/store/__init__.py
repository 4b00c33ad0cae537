"""What outlives a run: one SQLite file."""
