"""The safety of a sandbox, decided purely: its rules, what was read of it, and what follows."""
