"""The recipes' training steps in PyTorch, as one writes them there; `benchmarks.check` compares the numbers."""
