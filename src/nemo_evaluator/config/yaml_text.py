"""Plain data as YAML that reads back as the same data."""

from __future__ import annotations

import re

import yaml

_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks that PyYAML writes as they are, and reads as blanks or as other breaks."""


def to_yaml(*documents: object) -> str:
    """One document, or several. Letters of all languages stay readable.

    >>> to_yaml({"a": "né", "b": 1})
    'a: né\\nb: 1\\n'
    """
    several = len(documents) > 1
    text = yaml.safe_dump_all(
        documents, sort_keys=False, allow_unicode=True, width=100, explicit_start=several
    )
    if not _BREAKS.search(text):
        return text
    return yaml.safe_dump_all(documents, sort_keys=False, width=100, explicit_start=several)
