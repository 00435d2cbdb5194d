"""Corpora: readers, splits by speaker, duplicates, download and synthetic speech."""

from ser.datasets.corpora import CORPORA, find_corpus, load_corpus

__all__ = ["CORPORA", "find_corpus", "load_corpus"]
