"""Features of a waveform: the versioned recipes and the spectra and statistics that they are made of."""

from ser.features.recipes import RECIPES, Recipe, recipe

__all__ = ["RECIPES", "Recipe", "recipe"]
