"""The study of "The Lessons of Developing Process Reward Models" (arXiv 2501.07301)."""
