"""Results of other tools: read into a run record, and written as they would have written them.

In: files of ``vllm bench serve``, GuideLLM, AIPerf, GenAI-Perf, inference-perf, llm-d, MLPerf LoadGen, InferenceX.
Out: `Foreign`, the columns and metrics of our run record beside what the tool means otherwise, and run records made of
it (`keeping.write_imported`); the other way, `exporting.export` writes a run record in a tool's own convention.
Definitions: reference/load-generation.md, sections 2 and 2.1. Nothing of a file is executed, no name in it is opened.

One file per tool; `documents` loads, `fields` reads strictly, `rows` holds the columns, `reading` tells the tools
apart. Where only the means of a run are wanted, as rows of evidence, see `inferatlas.evidence.importers`.
"""

from __future__ import annotations

from inferatlas.measure.bench.formats.exporting import EXPORTS, export
from inferatlas.measure.bench.formats.foreign import Foreign
from inferatlas.measure.bench.formats.keeping import write_imported
from inferatlas.measure.bench.formats.reading import IMPORTS, read_foreign

__all__ = ["EXPORTS", "IMPORTS", "Foreign", "export", "read_foreign", "write_imported"]
