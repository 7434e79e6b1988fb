"""Looks after one server: backups, restores, drills, upgrades and the ways back. Needs nothing but Python."""
