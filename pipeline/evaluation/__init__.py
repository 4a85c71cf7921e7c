"""Predictions of a trained model, and what is said of them: metrics, plots, explanations."""
