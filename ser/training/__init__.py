"""Training: configurations, augmentation, feature tables, cross-validation, ensembles and export."""
