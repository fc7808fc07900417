"""What is measured of ms_gan, and against what; no part of the package. `python -m benchmarks` measures speed."""
