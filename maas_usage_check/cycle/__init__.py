"""One cycle: plan, ask within time and rate, collect, say what went wrong."""
