"""Who may ask, and when: credentials, and the gate of a key."""
