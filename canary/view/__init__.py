"""What a person sees of a release: the live screen, plain lines, JSON lines.

`snapshot` turns a tick into values, `screen` lays them out; both are pure and know nothing of rich.
"""
