"""Evaluation: scores by protocol, robustness under distortions, and the leaderboard."""
