"""A stand-in for the cloud: the emulator, what its account has used, and the demo."""
