"""The commands that people and agents run: one module or package per command, and the arguments."""
