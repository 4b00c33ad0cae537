"""The Datadog Agent's check, over the same collector that the command line runs."""
