"""Runs where lm_eval is installed, and needs nothing else: lists what tasks ask, scores answers.

Prompts, few-shot examples, filters, metrics, aggregation and groups are lm_eval's own, through its
public interface: ``TaskManager``, ``Task.build_all_requests`` and ``evaluate`` with a model that
replays the answers.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import json
import math
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from nel_lm_eval_index import manager_of_all
from nel_lm_eval_loading import (
    Said,
    check_aggregations,
    compile_templates_once,
    loaded_tasks,
    text_of,
    told,
)
from nel_lm_eval_results import evaluated, json_value, measured
from nel_lm_eval_tokens import Tokens, UserError

Theirs = Any
"""An object of lm_eval, whose types are not ours to know."""
Data = Any
"""What JSON can say."""
CHOSEN, OTHERS = 0.0, -100.0
LETTERS = 26
"""Most options that have a letter."""


def chat_json(history: Data, add_generation_prompt: bool = True) -> str:
    """A chat as it is sent, in place of a text that a template makes of it."""
    return json.dumps([history, add_generation_prompt], ensure_ascii=False)


def replaying(answers: Mapping[tuple[object, ...], Data], template: Theirs) -> Theirs:
    """A model that gives ``answers``: (task, doc_id, kind, idx, repeat) -> reply."""
    from lm_eval.api.model import LM

    class Replay(LM):  # type: ignore[misc]
        tokenizer_name = "chat"

        def __init__(self) -> None:
            super().__init__()
            self.seen: dict[tuple[object, ...], int] = defaultdict(int)

        def apply_chat_template(self, history: Data, add_generation_prompt: bool = True) -> Theirs:
            return template(history, add_generation_prompt)

        def replies(self, requests: Sequence[Theirs]) -> list[Data]:
            given = []
            for request in requests:
                key = (request.task_name, request.doc_id, request.request_type, request.idx)
                given.append(answers[(*key, self.seen[key])])
                self.seen[key] += 1
            return given

        generate_until = loglikelihood = loglikelihood_rolling = replies

    return Replay()


@contextlib.contextmanager
def scored_once(task: Theirs, known: Sequence[Data]) -> Iterator[None]:
    """Metrics that are known already, by document and filter, in place of scoring again."""
    score, calls = task.process_results, itertools.count()

    def scored(doc: Data, results: Data) -> Data:
        filters = list(task.instances[0].filtered_resps)
        chosen, place = divmod(next(calls), len(known))  # evaluate goes by filter, then document
        found = known[place]
        return score(doc, results) if found is None else found[filters[chosen]]

    task.process_results = scored
    try:
        yield
    finally:
        task.process_results = score


class Worker:
    """The tasks of one benchmark."""

    def __init__(self) -> None:
        self.options: dict[str, Data] = {}
        self.tokens: Tokens | None = None
        self.loaded: dict[str, Theirs] = {}
        self.tasks: dict[str, Theirs] = {}
        self.docs: list[tuple[str, int, list[Theirs]]] = []
        self.scored: dict[tuple[int, str], dict[str, Data]] = {}
        """Metrics by filter of what was graded, by place and replies: scored once, for a scorer
        may run code or draw at random, and results shall be those of the rows."""

    def load(self, names: Sequence[str], options: dict[str, Data]) -> Data:
        """Load tasks and make their requests; what they are."""
        printed = Said()
        try:
            return self._loading(names, options)
        except UserError:
            raise
        except Exception as error:
            raise UserError(printed.beside(error)) from error
        finally:
            printed.end()

    def _loading(self, names: Sequence[str], options: dict[str, Data]) -> Data:
        import numpy as np

        compile_templates_once()
        random.seed(0)  # simple_evaluate's default seeds
        np.random.seed(1234)
        self.options = options
        if options["tokenizer"]:
            url = options["tokenizer_url"]
            self.tokens = Tokens(options["tokenizer"], url, options["max_length"])
        self.loaded = loaded_tasks(names, options["include_path"], options["metadata"])
        self.tasks = self.loaded["tasks"]
        for name, task in self.tasks.items():
            self._set_up(name, task)
            task.build_all_requests(
                limit=self._limit(task),
                rank=0,
                world_size=1,
                chat_template=self._template() if options["chat"] else None,
                tokenizer_name="chat" if options["chat"] else "",
                **self._chat(),
            )
            by_doc = defaultdict(list)
            for instance in task.instances:
                by_doc[instance.doc_id].append(instance)
            for doc_id, instances in sorted(by_doc.items()):
                self.docs.append((name, doc_id, sorted(instances, key=lambda i: i.idx)))
        return self._described()

    def _set_up(self, name: str, task: Theirs) -> None:
        options = self.options
        check_aggregations(name, task)
        if getattr(task, "MULTIMODAL", False):
            raise UserError(f"{name} shows images, which lm-eval:// does not send")
        if getattr(task, "UNSAFE_CODE", False) and not options["confirm_run_unsafe_code"]:
            raise UserError(
                f"{name} runs what the model writes on this machine, without a sandbox; "
                "params: {confirm_run_unsafe_code: true} allows it"
            )
        if task.get_config("output_type") == "generate_until" and options["gen_kwargs"]:
            task.set_config(key="generation_kwargs", value=options["gen_kwargs"], update=True)
        fewshot = options["num_fewshot"]
        if fewshot is not None and task.get_config("num_fewshot") != 0:
            task.set_config(key="num_fewshot", value=fewshot)
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=options["fewshot_seed"])

    def _limit(self, task: Theirs) -> int | None:
        limit = self.options["limit"]
        if limit is None:
            return None
        return math.ceil(len(task.eval_docs) * limit) if limit < 1 else int(limit)

    def _chat(self) -> dict[str, Data]:
        chat = bool(self.options["chat"])
        return {
            "apply_chat_template": chat,
            "fewshot_as_multiturn": chat and self.options["fewshot_as_multiturn"],
            "system_instruction": self.options["system_instruction"],
        }

    def _template(self) -> Theirs:
        if self.options["messages"]:
            return chat_json
        if self.tokens is None:
            raise UserError(
                "a chat template over completions needs the tokenizer that has it; set "
                "`tokenizer` of the service, or use protocol chat_completions"
            )
        return self.tokens.template

    def _described(self) -> Data:
        import lm_eval

        digest, without = hashlib.sha256(), set[str]()
        for name, doc_id, instances in self.docs:
            asked = [name, doc_id, *(instance.args for instance in instances)]
            digest.update(json.dumps(asked, default=text_of).encode())
            if len(instances) > LETTERS or len({one.args[0] for one in instances}) > 1:
                without.add(name)
        return {
            "version": lm_eval.__version__,
            "tasks": [
                {**told(name, task), "letters": name not in without}
                for name, task in self.tasks.items()
            ],
            "problems": [[name, doc_id] for name, doc_id, _ in self.docs],
            "digest": digest.hexdigest()[:16],
        }

    def problems(self, places: Sequence[int], brief: bool = False) -> list[Data]:
        """What some documents ask. ``brief``: only how many answers of what kind belong to
        each."""
        return [self._problem(*self.docs[place], brief) for place in places]

    def _problem(self, name: str, doc_id: int, instances: Sequence[Theirs], brief: bool) -> Data:
        task, doc = self.tasks[name], instances[0].doc
        try:
            target = task.doc_to_target(doc)
        except Exception:  # some tasks have none
            target = None
        choices = None
        if task.OUTPUT_TYPE == "multiple_choice" and hasattr(task, "doc_to_choice"):
            choices = [str(choice) for choice in task.doc_to_choice(doc)]
        if brief:
            asked = [self._instance_data(instance) for instance in instances]
            return {"task": name, "doc_id": doc_id, "choices": choices, "requests": asked}
        return {
            "task": name,
            "doc_id": doc_id,
            "doc": {key: json_value(value) for key, value in doc.items() if _is_plain(value)},
            "target": json_value(target),
            "choices": choices,
            "requests": [self._request(instance) for instance in instances],
        }

    def _instance_data(self, instance: Theirs) -> Data:
        kind, count = instance.request_type, 1
        if self.tokens is not None and kind == "loglikelihood_rolling":
            count = len(self.tokens.windows(kind, instance.args))
        windows = [] if kind == "generate_until" else [[[], 0]] * count
        return {"kind": kind, "args": [], "repeats": instance.repeats or 1, "windows": windows}

    def _request(self, instance: Theirs) -> Data:
        kind, args = instance.request_type, list(instance.args)
        asked: dict[str, Data] = {"kind": kind, "args": args, "repeats": instance.repeats or 1}
        if self.tokens is not None and kind != "generate_until":
            asked["windows"] = self.tokens.windows(kind, args)
        elif self.tokens is not None and self.tokens.eos and not self.options["messages"]:
            until = args[1].get("until") or []
            until = [until] if isinstance(until, str) else list(until)
            if self.tokens.eos not in until:
                asked["args"] = [args[0], {**args[1], "until": [*until, self.tokens.eos]}]
        return asked

    def grade(self, rows: Sequence[tuple[int, list[Data]]]) -> list[Data]:
        """The metrics of answered documents by filter; ``rows`` holds (index, replies)."""
        try:
            self._filter(rows)
            return [{"filters": self._scored(index, replies)} for index, replies in rows]
        except Exception:  # whatever the task's code raises, of one document
            return [self._score_alone(index, replies) for index, replies in rows]

    def _score_alone(self, index: int, replies: list[Data]) -> Data:
        try:
            self._filter([(index, replies)])
            return {"filters": self._scored(index, replies)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _filter(self, rows: Sequence[tuple[int, list[Data]]]) -> None:
        """Let lm_eval filter the replies of several documents, as it does: all at once."""
        by_task: dict[str, list[Theirs]] = defaultdict(list)
        for index, replies in rows:
            name, _, instances = self.docs[index]
            for instance, given in zip(instances, self._chosen(index, replies), strict=True):
                instance.resps = [_reply(instance.request_type, reply) for reply in given]
                instance.filtered_resps = {}
            by_task[name] += instances
        for name, instances in by_task.items():
            task = self.tasks[name]
            for ensemble in task._filters if hasattr(task, "_filters") else ():
                ensemble.apply(instances)

    def _scored(self, index: int, replies: list[Data]) -> Data:
        name, _, instances = self.docs[index]
        graded, scored = {}, {}
        for key in instances[0].filtered_resps:
            filtered = [instance.filtered_resps[key] for instance in instances]
            doc = copy.deepcopy(instances[0].doc)  # some tasks change theirs
            metrics = scored[key] = self.tasks[name].process_results(doc, filtered)
            plain = {str(metric): json_value(value) for metric, value in metrics.items()}
            graded[key] = {"metrics": plain, "filtered": json_value(filtered)}
        self.scored[index, json.dumps(replies)] = scored
        return graded

    def _chosen(self, index: int, replies: list[Data]) -> list[Data]:
        """Replies as they are; where no option was chosen, a wrong one stands for it."""
        if replies[0][0] is not None:
            return replies
        name, _, instances = self.docs[index]
        task, doc = self.tasks[name], instances[0].doc
        gold, choices = task.doc_to_target(doc), task.doc_to_choice(doc)
        right = [
            choices.index(one) if isinstance(one, str) and one in choices else one
            for one in (gold if isinstance(gold, list) else [gold])
        ]
        wrong = next((place for place in range(len(replies)) if place not in right), 0)
        return [[[CHOSEN if place == wrong else OTHERS, False]] for place in range(len(replies))]

    def aggregate(self, rows: Sequence[tuple[int, list[Data]]]) -> list[Data]:
        """lm_eval's results for documents that were answered: ``rows`` holds (index, replies)."""
        from lm_eval import evaluate

        samples: dict[str, list[int]] = defaultdict(list)
        known: dict[str, list[Data]] = defaultdict(list)
        answers: dict[tuple[object, ...], Data] = {}
        for index, replies in sorted(rows):
            name, doc_id, instances = self.docs[index]
            place = len(samples[name])
            samples[name].append(doc_id)
            known[name].append(self.scored.get((index, json.dumps(replies))))
            for instance, given in zip(instances, self._chosen(index, replies), strict=True):
                kind = instance.request_type
                for repeat, reply in enumerate(given):
                    answers[name, place, kind, instance.idx, repeat] = _reply(kind, reply)
        tasks = {name: task for name, task in self.tasks.items() if name in samples}
        groups = self.loaded.get("groups", {}) if len(tasks) == len(self.tasks) else {}

        def once(draws: int | None) -> Theirs:
            with contextlib.ExitStack() as stack:
                for name, task in tasks.items():
                    stack.enter_context(scored_once(task, known[name]))
                return evaluate(
                    lm=replaying(answers, self._template() if self.options["chat"] else chat_json),
                    task_dict={**self.loaded, "tasks": tasks, "groups": groups},
                    samples=dict(samples),
                    bootstrap_iters=self.options["bootstrap_iters"] if draws is None else draws,
                    log_samples=False,
                    confirm_run_unsafe_code=bool(self.options["confirm_run_unsafe_code"]),
                    **self._chat(),
                )

        results, failed = evaluated(tasks, once)
        sizes = {name: len(docs) for name, docs in samples.items()}
        return list(measured(results, sizes, failed))

    def search(self, text: str) -> list[str]:
        """Names of tasks, groups and tags that contain a text."""
        known = sorted(manager_of_all(None, None).task_index)
        return [name for name in known if text.lower() in name.lower()]


def _reply(kind: str, reply: Data) -> Data:
    return tuple(reply) if kind == "loglikelihood" else reply


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | dict)


def _method(worker: Worker, name: str) -> Callable[..., Awaitable[Data]]:
    async def called(_peer: object, **params: Data) -> Data:
        return getattr(worker, name)(**params)

    return called


WORKER = Worker()
METHODS = {
    name: _method(WORKER, name) for name in ("load", "problems", "grade", "aggregate", "search")
}
