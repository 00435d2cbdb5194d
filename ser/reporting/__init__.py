"""Reports: model card, figures and leaderboard as Markdown and pictures."""
