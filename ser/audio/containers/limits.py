"""Bounds for the headers of a file: which sizes are placeholders, and how many headers are read."""

STREAMED_BYTES = 2**31 - 2**20  # chunk sizes from here on are placeholders of recorders that write into a pipe
PLACEHOLDER = 2**62  # bytes from which on a size of a Wave64 or ASF is none
MOST_STEPS = 2**19  # headers that are read of a file; three hours of frames, and about a second
