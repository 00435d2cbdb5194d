"""Feature extraction: the versioned recipes, spectra and statistics."""

from ser.features.recipes import RECIPES, Recipe, recipe

__all__ = ["RECIPES", "Recipe", "recipe"]
