"""Harnesses in images, as the containers of NeMo Evaluator are (``container://IMAGE#TASK``)."""
