"""What results mean for a release: is a difference real, and may it ship?

Reads the published files of runs, ours or another tool's; never touches them. Invariant: only a
rollout that has a verdict is evidence, and what is not known is never read as good news.
"""
