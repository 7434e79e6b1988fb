"""What holds for all tests: no deadlines per example, since machines are shared and noisy."""

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None, print_blob=True)
settings.load_profile("shared-machine")
