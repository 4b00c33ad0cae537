"""Check the documents: `python -m tools.docs` prints one line per problem.

Each module offers checks: functions from the pages to problems. What a page shows and a test can run stays a test.
"""
