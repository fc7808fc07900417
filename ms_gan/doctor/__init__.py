"""Whether a machine trains, draws and exports as a CPU does: what `doctor` looks at."""
