"""What a task asks, as requests: the bodies are those of lm_eval's own model classes."""

from __future__ import annotations

import json

from nemo_evaluator.environments.lm_eval.replies import Asked, Doc, requests_of

BEGUN = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "It is"}]


def asked(given: dict[str, object]) -> Doc:
    context = json.dumps([BEGUN, False])  # lm_eval wants no further beginning of an answer
    return Doc(task="t", doc_id=0, requests=(Asked(kind="generate_until", args=(context, given)),))


def test_the_beginning_of_an_answer_is_sent_without_fields_of_one_server() -> None:
    [request] = requests_of(asked({"until": ["\n"], "max_gen_toks": 9}), messages=True, seed=1)
    assert list(request.messages) == BEGUN
    assert request.params == {"max_tokens": 9, "temperature": 0, "seed": 1}


def test_fields_of_a_server_are_sent_where_the_task_has_them() -> None:
    own = {"add_generation_prompt": False, "continue_final_message": True}
    [request] = requests_of(asked({"until": [], **own}), messages=True, seed=1)
    assert request.params == {"max_tokens": 256, "temperature": 0, "seed": 1, **own}


def test_at_most_four_stop_texts_are_sent_over_chat() -> None:
    [request] = requests_of(asked({"until": list("abcdef")}), messages=True, seed=1)
    assert request.until == tuple("abcd")
