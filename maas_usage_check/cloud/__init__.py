"""A signed call, and what each API of the cloud asks and answers."""
