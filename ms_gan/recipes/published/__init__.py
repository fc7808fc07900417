"""Published systems: one file each, which says what its system says; all else is a default."""
