"""The safety monitor: watches one container from outside of it, and ends it when a rule says so."""
