"""The command line: parse, ask one port, say what happened, exit by contract.

Data goes to stdout, words go to stderr. Heavy rooms are imported inside the commands that need them, so
that `canary --help` and `canary version` answer at once.
"""
