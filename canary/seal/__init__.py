"""The keys that seal a ledger, and where copies of its seals go."""
