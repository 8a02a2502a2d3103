"""A world around the real engine and the real log, with a virtual clock: it breaks things and checks the promises."""
