"""One module a step. Its opening says what it locks, and for how long."""
