"""Timelines: a long recording as labelled segments, and the file formats for them."""

from ser.timeline.segments import timeline

__all__ = ["timeline"]
