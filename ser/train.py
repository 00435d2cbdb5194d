"""The training run under its short name, `ser.train.train`."""

from ser.training.train import train

__all__ = ["train"]
