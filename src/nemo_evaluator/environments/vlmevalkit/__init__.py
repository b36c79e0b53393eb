"""Datasets in the format of VLMEvalKit: tables with images, graded by its documented rules."""
