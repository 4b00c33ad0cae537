"""The Datadog Agent's check, built on the collector of the command line."""
