"""Reports: model card, figures and leaderboard."""
