"""Interceptors: the steps between a caller and a model.

A built-in interceptor is one file in this folder and one row of ``kinds.INTERCEPTORS``.
``endpoint`` is the last step of every pipeline, named in a configuration or not; its options stand
in for those of `proxy`.
"""

ENDPOINT = "endpoint"
