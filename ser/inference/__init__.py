"""Answering: verified artifacts, the recogniser, novelty and live sound."""
