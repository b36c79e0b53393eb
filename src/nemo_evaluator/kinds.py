"""Everything that can be named in a configuration, by kind: one row per built-in plug-in.

``name → (module:attribute below nemo_evaluator, one line)``. A further one is a file and a row, or
an installed package with an entry point in the group of its kind (see ``plugins``). The contract
of each kind is in the package that uses it: ``<package>/contract.py``.
"""

from __future__ import annotations

from .plugins import Kind

BENCHMARKS = Kind(
    "benchmark",
    "benchmarks",
    "problems, and how an answer is scored (`benchmarks[].name`)",
    {
        "drop": (
            "benchmarks.drop:drop",
            "reading comprehension with arithmetic, 3-shot; official EM and F1",
        ),
        "gpqa": ("benchmarks.gpqa:gpqa", "graduate-level science, multiple choice (diamond)"),
        "gsm8k": ("benchmarks.gsm8k:gsm8k", "grade-school mathematics, exact number"),
        "healthbench": (
            "benchmarks.healthbench:healthbench",
            "medical conversations, graded by physicians' rubrics; needs a judge",
        ),
        "nmp_harbor": (
            "benchmarks.task_suites:NMP_HARBOR",
            "tasks of the repository that NMP_REPO names, for agents",
        ),
        "humaneval": (
            "benchmarks.humaneval:humaneval",
            "164 Python functions to complete; the official tests, in a sandbox",
        ),
        "math500": (
            "benchmarks.math500:math500",
            "competition mathematics, equality by mathematics",
        ),
        "mgsm": ("benchmarks.mgsm:mgsm", "grade-school mathematics in eleven languages"),
        "mmlu": ("benchmarks.mmlu:mmlu", "57 subjects, multiple choice"),
        "mmlu_pro": ("benchmarks.mmlu_pro:mmlu_pro", "harder MMLU with up to ten options"),
        "pinchbench": (
            "benchmarks.pinchbench.environment:PinchBench",
            "everyday tasks for an agent with a workspace; checks and a judge",
        ),
        "sample": (
            "benchmarks.sample:sample",
            "120 mixed problems of our own, for trying things out",
        ),
        "simpleqa": (
            "benchmarks.simpleqa:simpleqa",
            "short factual questions: correct, incorrect or not attempted; needs a judge",
        ),
        "terminal-bench-hard": (
            "benchmarks.task_suites:TERMINAL_BENCH_HARD",
            "hard tasks in a terminal, for agents",
        ),
        "terminal-bench-hard-aa-split": (
            "benchmarks.task_suites:TERMINAL_BENCH_HARD_AA_SPLIT",
            "the part of terminal-bench-hard that Artificial Analysis runs",
        ),
        "terminal-bench-v1": (
            "benchmarks.task_suites:TERMINAL_BENCH_V1",
            "tasks in a terminal, for agents (Terminal-Bench 1)",
        ),
        "triviaqa": (
            "benchmarks.triviaqa:triviaqa",
            "trivia without context; official EM and F1 over aliases",
        ),
        "xstest": (
            "benchmarks.xstest:xstest",
            "refusals of safe and of unsafe prompts; needs a judge, or grader: string",
        ),
    },
    "./my_bench.py or ./rows.csv, or module:attribute",
)

SCHEMES = Kind(
    "scheme",
    "schemes",
    "benchmarks of another program (`SCHEME://...` as `benchmarks[].name`)",
    {
        "command": (
            "environments.command_harness:open_command",
            "command://PROGRAM, an evaluation program of your own with its own loop",
        ),
        "container": (
            "environments.container.harness:open_container",
            "container://IMAGE#TASK, a harness in an image, as NeMo Evaluator's containers are",
        ),
        "gym": (
            "environments.gym.environment:open_gym",
            "gym://HOST:PORT or gym://BENCHMARK, a server that poses problems and grades answers",
        ),
        "harbor": (
            "environments.harbor.environment:open_harbor",
            "harbor://FOLDER or harbor://SUITE@VERSION, tasks in containers with their own tests",
        ),
        "imported": (
            "environments.imported:open_imported",
            "imported://FOLDER, the problems of imported results, to grade them again",
        ),
        "inspect": (
            "environments.inspect.harness:open_inspect",
            "inspect://MODULE@TASK, tasks of Inspect with their own solvers and scorers",
        ),
        "lm-eval": (
            "environments.lm_eval.harness:open_lm_eval",
            "lm-eval://TASK, tasks and groups of lm-evaluation-harness",
        ),
        "python": (
            "environments.harness_environment:open_python",
            "python://module:Class, the same as a class (a Harness)",
        ),
        "skills": (
            "environments.skills.dataset:open_skills",
            "skills://NAME, datasets that NeMo Skills prepared",
        ),
        "vlmevalkit": (
            "environments.vlmevalkit.environment:open_vlmevalkit",
            "vlmevalkit://DATASET, tables of VLMEvalKit: questions about images",
        ),
    },
    "",
)

SOLVERS = Kind(
    "solver",
    "solvers",
    "what turns a problem into an answer (`solver.type`)",
    {
        "simple": ("solvers.simple:SimpleSolver", "one request, one answer"),
        "nop": ("solvers.nop:NopSolver", "does nothing: a task's tests must give it 0"),
        "harbor": (
            "solvers.harbor.solver:HarborSolver",
            "an agent of the harbor package (terminus-2, your own BaseAgent, ...), in a workspace",
        ),
        "agent": ("solvers.harbor.solver:HarborSolver", "the same as harbor"),
        "oracle": ("solvers.oracle:OracleSolver", "runs the solution that a task brings"),
        "tool_calling": (
            "solvers.tool_calling.solver:ToolCallingSolver",
            "a loop of model calls and tool calls: sandbox, gym and MCP tools",
        ),
        "openclaw": (
            "solvers.openclaw.solver:OpenClawSolver",
            "the OpenClaw agent, in its workspace or on this machine",
        ),
        "gym_delegation": (
            "solvers.gym_delegation:GymDelegation",
            "an agent of NeMo Gym, which solves whole problems (POST /run)",
        ),
        "nat": (
            "solvers.nat:Nat",
            "an agent of NeMo Agent Toolkit (POST /generate/full)",
        ),
        "container": (
            "solvers.container:ContainerSolver",
            "settings of a harness in an image (container://IMAGE#TASK)",
        ),
        "custom": (
            "solvers.registry:open_custom",
            "a class of your own (class_path: module:Class), or any program (command: ...)",
        ),
    },
)

SERVICES = Kind(
    "service",
    "services",
    "models, and the servers that solvers use (`services.NAME.type`)",
    {
        "api": ("services.api:Api", "an endpoint that is already running"),
        "custom": ("services.custom:Custom", "a server of your own, started by a command"),
        "gym": ("services.gym:Gym", "a gym of NeMo Gym or `nel serve`, running or started"),
        "nat": ("services.nat:Nat", "an agent of NeMo Agent Toolkit, running or started"),
        "simulated": (
            "services.simulated.kind:Simulated",
            "made-up answers from this process, for trying things out",
        ),
        "vllm": ("services.engines.vllm:Vllm", "a vLLM server, started for the run"),
        "sglang": ("services.engines.sglang:Sglang", "an SGLang server, started for the run"),
        "trt_llm": ("services.engines.trt_llm:TrtLlm", "a TensorRT-LLM server, started"),
        "dynamo": (
            "services.engines.dynamo:Dynamo",
            "a Dynamo deployment, started: frontend, workers, and what they need",
        ),
        "nim": ("services.engines.nim:Nim", "a NIM container, started for the run"),
        "docker_model": (
            "services.engines.docker_model:DockerModel",
            "any container with a model server, started for the run",
        ),
    },
)

SANDBOXES = Kind(
    "sandbox",
    "sandboxes",
    "where untrusted code or an agent runs (`sandbox.type`)",
    {
        "local": ("sandboxes.opening:local", "bubblewrap on this machine"),
        "docker": ("sandboxes.opening:docker", "a container per problem"),
        "apptainer": ("sandboxes.opening:apptainer", "an Apptainer instance, here or on a node"),
        "ecs_fargate": ("sandboxes.opening:ecs_fargate", "a task of AWS Fargate per problem"),
        "slurm": ("sandboxes.opening:slurm", "a container of pyxis on a node of the Slurm job"),
        "custom": ("sandboxes.opening:custom", "a class of your own (class_path: module:Class)"),
    },
)

EXECUTORS = Kind(
    "executor",
    "executors",
    "where a whole run is executed (`cluster.type`)",
    {
        "docker": ("executors.docker.executor:DockerExecutor", "a container of this machine"),
        "kubernetes": (
            "executors.kubernetes.executor:KubernetesExecutor",
            "an indexed Job of Kubernetes",
        ),
        "local": ("executors.local_executor:LocalExecutor", "this machine"),
        "slurm": ("executors.slurm.executor:SlurmExecutor", "jobs of a Slurm cluster"),
        "ray": ("executors.ray.executor:RayExecutor", "shards as tasks of a Ray cluster"),
    },
)

EXPORTERS = Kind(
    "exporter",
    "exporters",
    "where the results of a run are handed on to (`output.export`)",
    {
        "csv": ("exporters.table:Table", "all scores of any number of runs in one table"),
        "jsonl": ("exporters.jsonl:Jsonl", "every rollout of a run as a line of JSON"),
        "atif": ("exporters.atif:Atif", "every trajectory of a run as an ATIF document"),
        "parquet": ("exporters.parquet:Parquet", "the rollouts of a run as a Parquet file"),
        "junit": ("exporters.junit:Junit", "a run as JUnit XML, a case per rollout"),
        "inspect": (
            "exporters.inspect_log.exporter:InspectLog",
            "logs for Inspect",
        ),
        "mlflow": ("exporters.mlflow.exporter:Mlflow", "runs and traces in MLflow"),
        "wandb": ("exporters.wandb.exporter:Wandb", "runs in Weights & Biases"),
        "otel": ("exporters.otel.exporter:Otel", "OpenTelemetry spans and evaluation events"),
        "hf": ("exporters.hf:HuggingFace", "a model card's scores and a dataset for the hub"),
    },
)

IMPORTERS = Kind(
    "importer",
    "importers",
    "results of other tools that can be imported (`nel import`)",
    {
        "inspect": ("importers.inspect_log.importer:InspectLogs", "logs of Inspect"),
        "lm-eval": ("importers.lm_eval.importer:LmEval", "samples of lm-evaluation-harness"),
        "published": ("importers.published:PublishedResults", "bundles with their results.jsonl"),
        "table": ("importers.table:TableFile", "a table with a reward in each line"),
    },
)

REPORTS = Kind(
    "report format",
    "reports",
    "how a report is written (`output.report`)",
    {
        "markdown": ("reports.render:MARKDOWN", "tables for reading and for merge requests"),
        "html": ("reports.render:HTML", "one self-contained page with plots"),
        "json": ("reports.render:JSON", "everything as data"),
        "csv": ("reports.render:CSV", "one line per benchmark"),
        "latex": ("reports.render:LATEX", "a booktabs table"),
    },
)

_INTERCEPTORS = {
    "endpoint": ("endpoint:EndpointOptions", "retries, rate limits, concurrency, timeouts"),
    "budget": ("budget:Budget", "stops at a number of tokens or dollars, per run and session"),
    "caching": ("caching:Caching", "answers equal requests from a file on disk"),
    "consolidate_system": ("consolidate_system:ConsolidateSystem", "one system message, first"),
    "drop_params": ("drop_params:DropParams", "removes parameters of the request"),
    "fault": ("fault:Fault", "injects failures, to test how a run copes"),
    "finish_reason": (
        "finish_reason:FinishReasonFixup",
        "corrects `stop` where a limit was reached",
    ),
    "http_pairs_dump": ("http_pairs_dump:HttpPairsDump", "writes first and failed pairs to a file"),
    "log_tokens": ("log_tokens:LogTokens", "logs the tokens of every answer"),
    "logging": ("logging:Logging", "logs every request and answer"),
    "modify_tools": ("modify_tools:ModifyTools", "strips or adds properties of tool schemas"),
    "payload_modifier": ("payload_modifier:PayloadModifier", "removes, renames, adds parameters"),
    "progress_tracking": ("progress_tracking:ProgressTracking", "counts answers, calls a webhook"),
    "raise_client_errors": ("raise_client_errors:RaiseClientErrors", "4xx are errors, not answers"),
    "reasoning": ("reasoning:Reasoning", "moves <think> texts to `reasoning_content`"),
    "reasoning_pattern": (
        "reasoning_pattern:ReasoningPattern",
        "moves what a regular expression finds to `reasoning_content`",
    ),
    "reasoning_replay": ("reasoning_replay:ReasoningReplay", "puts earlier reasoning back"),
    "record": ("recording:Record", "saves the traffic of a run for `replay`"),
    "redact": ("redact:Redact", "removes patterns before anything is written"),
    "replay": ("recording:Replay", "answers from a recording, without a network"),
    "response_stats": ("response_stats:ResponseStats", "logs totals after every N answers"),
    "streaming": ("streaming:Streaming", "asks the endpoint for streams"),
    "system_message": ("system_message:SystemMessage", "replaces or adds a system message"),
    "turn_counter": ("turn_counter:TurnCounter", "limits and announces the turns of a session"),
}

INTERCEPTORS = Kind(
    "interceptor",
    "interceptors",
    "steps between a caller and a model (`proxy.interceptors[].name`)",
    {n: (f"traffic.interceptors.{where}", about) for n, (where, about) in _INTERCEPTORS.items()},
)

_PRIMITIVES = {
    "answer_line": ("primitives:answer_line", "the last `Answer: ...` line equals the target"),
    "bleu": ("measures:bleu", "sentence BLEU by sacrebleu; all references count together"),
    "chrf": ("measures:chrf", "chrF2 by sacrebleu; the best reference counts"),
    "drop_match": ("primitives:drop_match", "the official DROP metric: EM and F1"),
    "edit_distance": ("measures:edit_distance", "1 minus Levenshtein distance over length"),
    "exact_match": ("primitives:exact_match", "the whole response equals the target, normalised"),
    "f1": ("measures:f1", "token F1 as in SQuAD, of the announced answer or the whole response"),
    "fuzzy_match": ("primitives:fuzzy_match", "the response or its answer equals target or alias"),
    "ifeval": ("instructions.ifeval:ifeval", "the response follows every instruction (IFEval)"),
    "includes": ("patterns:includes", "contains the target or an alias as whole words"),
    "json_match": ("structured:json_match", "the JSON in the response equals the target"),
    "json_schema": ("structured:json_schema", 'the JSON in the response follows config["schema"]'),
    "math_match": ("primitives:math_match", "the answer equals the target as mathematics"),
    "mcq_extract": ("multichoice:multichoice_regex", "the label chosen last is the target"),
    "multichoice_regex": ("multichoice:multichoice_regex", "the label chosen last is the target"),
    "numeric_match": ("numeric:numeric_match", "the number the response ends on is the target"),
    "regex": ("patterns:regex", 'the last match of config["pattern"] equals the target'),
    "rouge_l": ("measures:rouge_l", "ROUGE-L: longest common subsequence of words"),
    "trivia_match": ("primitives:trivia_match", "the official TriviaQA metric: EM and F1"),
}

SCORERS = Kind(
    "scorer",
    "scorers",
    "what grades one response (`scoring.metrics[].name`)",
    {name: (f"scoring.{where}", about) for name, (where, about) in _PRIMITIVES.items()},
    "module:function",
)

_CHECKS = {
    "keywords:existence": ("has_keywords", "every keyword occurs, also within words"),
    "keywords:frequency": ("keyword_frequency", "a keyword occurs a number of times"),
    "keywords:forbidden_words": ("no_forbidden_words", "none of the words occurs as a whole word"),
    "keywords:letter_frequency": (
        "letter_frequency",
        "a letter occurs a number of times, in either case",
    ),
    "language:response_language": ("in_language", "the response is in a language"),
    "length_constraints:number_sentences": ("sentence_count", "the number of sentences"),
    "length_constraints:number_paragraphs": (
        "paragraph_count",
        "the number of paragraphs between *** marks",
    ),
    "length_constraints:number_words": ("word_count", "the number of words"),
    "length_constraints:nth_paragraph_first_word": (
        "nth_paragraph_first_word",
        "the number of paragraphs, and the first word of one of them",
    ),
    "detectable_content:number_placeholders": (
        "placeholder_count",
        "at least a number of [placeholders]",
    ),
    "detectable_content:postscript": ("has_postscript", "a postscript that begins with the marker"),
    "detectable_format:number_bullet_lists": ("bullet_count", "an exact number of bullet points"),
    "detectable_format:constrained_response": (
        "constrained_response",
        "one of the three answers allowed",
    ),
    "detectable_format:number_highlighted_sections": (
        "highlight_count",
        "at least a number of *highlighted* stretches",
    ),
    "detectable_format:multiple_sections": (
        "section_count",
        "at least a number of sections, each headed by the word and a number",
    ),
    "detectable_format:json_format": ("is_json", "the whole response is JSON"),
    "detectable_format:title": ("has_title", "a title in <<double angular brackets>>"),
    "combination:two_responses": (
        "two_responses",
        "two different answers, six asterisks between them",
    ),
    "combination:repeat_prompt": ("repeats_prompt", "begins with the request itself"),
    "startend:end_checker": ("ends_with", "ends with a phrase and nothing after it"),
    "startend:quotation": ("in_quotation_marks", "the whole response in double quotation marks"),
    "change_case:capital_word_frequency": ("shouted_count", "the number of words in capitals"),
    "change_case:english_capital": ("all_capitals", "English, in capitals only"),
    "change_case:english_lowercase": ("all_lowercase", "English, in lower case only"),
    "punctuation:no_comma": ("no_comma", "contains no comma"),
}

INSTRUCTIONS = Kind(
    "instruction",
    "instructions",
    "whether a response follows an instruction (scorer `ifeval`)",
    {
        name: (f"scoring.instructions.ifeval_checks:{check}", about)
        for name, (check, about) in _CHECKS.items()
    },
    "",
)

KINDS = {
    kind.plural: kind
    for kind in (
        BENCHMARKS,
        SCHEMES,
        SOLVERS,
        SERVICES,
        SANDBOXES,
        EXECUTORS,
        EXPORTERS,
        IMPORTERS,
        REPORTS,
        INTERCEPTORS,
        SCORERS,
        INSTRUCTIONS,
    )
}
"""Every kind by its plural, in the order of ``nel list``."""
