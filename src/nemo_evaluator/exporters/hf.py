"""A run for the Hugging Face hub: the ``model-index`` of a model card, and a dataset of its rows.

``model-index.yml`` is the front matter for the README of a model; the folder ``dataset`` is a
dataset repository as it stands, with one configuration per benchmark. Nothing is uploaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..files.writing import replace_file
from ..reports import figures as show
from ..reports.escape import markdown
from ..reports.model_card import model_index
from ..reports.sources import bundle_source
from ..reports.view import build_report
from ..results.tables import ROWS, TEXTS
from ..results.view import BenchmarkView, RunView
from .options import FileOptions
from .parquet import write_parquet

SPLIT = "test"


class HuggingFace:
    """A folder per run, ``<output_dir>/<run id>.hf``."""

    class Options(FileOptions):
        """What is written, and where."""

        texts: bool = True
        """Write prompts, responses and reasoning texts into the dataset."""
        license: str | None = None
        """License of the dataset, as the hub names it (`cc-by-4.0`)."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        folder = self._options.folder(run) / f"{run.run_id}.hf"
        dataset = folder / "dataset"
        (dataset / "data").mkdir(parents=True, exist_ok=True)
        views = run.benchmarks()
        paths = [str(dataset)]
        if any(view.bundle.score is not None for view in views):
            report = build_report([bundle_source(view.bundle_path) for view in views])
            replace_file(folder / "model-index.yml", model_index(report).encode())
            paths.insert(0, str(folder / "model-index.yml"))
        left_out = frozenset() if self._options.texts else TEXTS
        columns = [column for column in ROWS.columns if column.name not in left_out]
        files = {
            view.folder.name: dataset / "data" / f"{view.folder.name}.parquet" for view in views
        }
        for view in views:
            write_parquet(files[view.folder.name], columns, ROWS.records(run, [view]))
        for old in set((dataset / "data").glob("*.parquet")) - set(files.values()):
            old.unlink()
        replace_file(dataset / "README.md", self._card(run, views).encode())
        return paths

    def _card(self, run: RunView, views: Sequence[BenchmarkView]) -> str:
        """The README of the dataset: what loads it, and what it is."""
        import yaml

        configs = [
            {
                "config_name": view.folder.name,
                "data_files": [{"split": SPLIT, "path": f"data/{view.folder.name}.parquet"}],
            }
            for view in views
        ]
        front = {
            **({} if self._options.license is None else {"license": self._options.license}),
            "tags": ["evaluation", "nemo-evaluator"],
            "configs": configs,
        }
        lines = [
            f"# Results of {markdown(run.run_id)}",
            "",
            "One line per rollout; a `reward` that is missing means that there is no verdict.",
            "",
            "| benchmark | model | score |",
            "|---|---|---|",
        ]
        for view in views:
            bundle = view.bundle
            score = "no score"
            if bundle.score is not None:
                score = f"{show.value(bundle.score)} {show.interval(bundle.score)}"
            fake = " (simulated)" if bundle.simulated else ""
            model = markdown(bundle.model or "unknown") + fake
            lines.append(f"| {markdown(bundle.name)} | {model} | {score} |")
        text: str = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
        return f"---\n{text}---\n" + "\n".join(lines) + "\n"
