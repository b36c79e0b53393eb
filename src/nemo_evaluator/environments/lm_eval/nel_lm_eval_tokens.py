"""Beside ``worker.py`` in the interpreter that has lm_eval: the endpoint's tokenizer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Theirs = Any
"""An object of lm_eval or transformers, whose types are not ours to know."""
Data = Any
"""What JSON can say."""


class UserError(Exception):
    """What the user must change."""


class Tokens:
    """The endpoint's tokenizer: lm_eval's own split of context and continuation."""

    def __init__(self, named: str, url: str, max_length: int) -> None:
        """``named``: ``remote`` (the endpoint's ``/tokenize``), a path, or a hub id."""
        self.most = max_length - 1  # one token is generated
        self.own: Theirs
        self.encode: Callable[[str], list[int]]
        if named == "remote":
            from lm_eval.utils import RemoteTokenizer

            self.own = RemoteTokenizer(url)
            self.encode = self.own.encode
        else:
            try:
                from transformers import AutoTokenizer
            except ModuleNotFoundError:
                raise UserError(
                    f"`tokenizer: {named}` of the service needs the package transformers: "
                    f"{sys.executable} -m pip install transformers"
                ) from None
            self.own = AutoTokenizer.from_pretrained(named)
            self.encode = lambda text: self.own(text, add_special_tokens=False).input_ids
        self.eos: str | None = self.own.eos_token
        bos = self.own.bos_token_id
        self.prefix = bos if bos is not None else self.own.eos_token_id

    def template(self, history: Data, add_generation_prompt: bool = True) -> str:
        """A chat as one text."""
        if not hasattr(self.own, "get_vocab"):
            return str(self.own.apply_chat_template(history, add_generation_prompt))
        text = self.own.apply_chat_template(
            history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return str(text)

    def windows(self, kind: str, args: Sequence[str]) -> list[Data]:
        """What is sent for one question: token ids, and how many of the last are scored."""
        if kind == "loglikelihood_rolling":
            return list(self._rolling(args[0]))
        context, continuation = args
        if not context:
            whole = self.encode(continuation)
            if whole[0] != self.prefix:
                whole = [self.prefix, *whole]
            return [self._cut(whole[:1], whole[1:])]
        stripped = context.rstrip()
        continuation, context = context[len(stripped) :] + continuation, stripped
        before = self.encode(context)
        return [self._cut(before, self.encode(context + continuation)[len(before) :])]

    def _rolling(self, text: str) -> Iterator[Data]:
        from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

        pairs = get_rolling_token_windows(
            token_list=self.encode(text),
            prefix_token=self.prefix,
            max_seq_len=self.most - 1,
            context_len=1,
        )
        for pair in pairs:
            yield self._cut(*make_disjoint_window(pair))

    def _cut(self, context: list[int], continuation: list[int]) -> Data:
        return [(context + continuation)[-self.most :], len(continuation)]
