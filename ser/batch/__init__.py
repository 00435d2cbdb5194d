"""Batches: thousands of recordings to one table, resumable, on all cores or a Dask cluster."""

from ser.batch.run import batch

__all__ = ["batch"]
