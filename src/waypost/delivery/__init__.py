"""Delivery: what goes out, to whom, when, and what came of it.

`engine`, `schedule` and `health` decide and are pure; `worker` owns the clock, the store and the sender and runs the
engine; `sender`, `egress` and `signing` make one request.
"""
