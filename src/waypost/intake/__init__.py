"""What comes in from carriers and partners: one module a format, bytes in, reports out.

A format does no I/O, reads no clock and trusts nothing: the size, the nesting and the number of items are bounded, and
a message that breaks the format is refused with the place. What a carrier's code means is data, in `tables/`.
"""
