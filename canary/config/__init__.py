"""Reading `canary.yaml`: its shape, its faults with their places, and the settings it resolves to."""
