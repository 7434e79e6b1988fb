"""The ten points that must hold before a release, as pure checks over what was seen of a target."""
