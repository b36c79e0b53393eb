"""Task folders of Harbor and of Terminal-Bench, as data: what a task asks, in which environment,
how it is verified, and the solution it brings. Reads files; runs nothing."""
