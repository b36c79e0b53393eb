"""The HTTP door of the pipeline: for agents and clients that are not ours."""
