"""An emulator of the cloud, the usage of its simulated account, and the demo.

It must not use the rooms that it checks. Times are milliseconds since 1970 where a type says `Ms`.
"""
