"""The benchmarks of `waypost bench`, as `python -m benchmarks` for who works on Waypost."""
