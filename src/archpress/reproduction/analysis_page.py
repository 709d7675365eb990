"""`analysis.html`, `analysis.md` and `analysis.json`: what an analysis saw."""

import json
import math
from collections.abc import Iterator
from functools import partial

from archpress.architecture.kinds import PAPER_KINDS
from archpress.comparison.tables import markdown_table
from archpress.embedding.paper_coding import Types
from archpress.report.drawing import Drawing, drawing, render
from archpress.reproduction.analysis import Analysis, PathPoint
from archpress.reproduction.analysis_figures import (
    COLOURS,
    MEASURES,
    filter_figure,
    map_figure,
    path_figure,
)
from archpress.whole_files import write_text

PAGE, TABLE, VALUES = "analysis.html", "analysis.md", "analysis.json"
FIELDS = ("kernel", "channels", "stride", "padding")
MOTIF_COLUMNS = (
    "nets", "distinct valid", "of steps", "layers", "do nothing", "norm or ReLU", "norm first"
)  # fmt: skip
PATH_COLUMNS = ("step", "types", "tuning", "with a trial", "accuracy off", "parameters off")
STEPS_TOLD = (1, 5, 20, 50, 100, 200)


def write_analysis(analysis: Analysis) -> None:
    """Write the three files into the folder of the analysis, each whole or not at all."""
    write_text(analysis.folder / VALUES, json.dumps(analysis.to_dict()) + "\n")
    write_text(analysis.folder / TABLE, markdown(analysis))
    page = render(
        "analysis.html",
        "archpress.reproduction",
        _draw(analysis),
        analysis=analysis,
        studies=[one for one in analysis.studies if one.seed == 0],
        motif_columns=MOTIF_COLUMNS,
        motifs=motif_rows(analysis),
        path_columns=PATH_COLUMNS,
        path=path_rows(analysis),
    )
    write_text(analysis.folder / PAGE, page)


def markdown(analysis: Analysis) -> str:
    """Both tables, and where the extreme descents ended."""
    parts = [
        f"# The paper's embedding on {analysis.images}, from {analysis.source}",
        "What nets are made of; means over distinct valid nets:",
        markdown_table(MOTIF_COLUMNS, motif_rows(analysis)),
        "How far predictions hold; mean absolute errors over descents, of what was trained "
        "(accuracy, points) and decoded (parameters, octaves) up to a step:",
        markdown_table(PATH_COLUMNS, path_rows(analysis)),
    ]
    for study in analysis.studies:
        layers = ", ".join(study.extreme) or "no step gave a valid net"
        parts.append(f"The extreme descent, {study.types} types, seed {study.seed}: {layers}")
    return "\n\n".join(parts) + "\n"


def motif_rows(analysis: Analysis) -> list[tuple[str, ...]]:
    """See `MOTIF_COLUMNS`."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f} %"

    return [
        (
            name,
            f"{one.nets:,}",
            f"{one.steps:,}",
            "-" if one.layers is None else f"{one.layers:.1f}",
            share(one.idle),
            share(one.norms_and_relus),
            share(one.norm_first),
        )
        for name, one in analysis.motifs.items()
    ]


def path_rows(analysis: Analysis) -> list[tuple[str, ...]]:
    """See `PATH_COLUMNS`; the steps since the last row each."""
    rows = []
    for types in dict.fromkeys(study.types for study in analysis.studies):
        for tuned in (False, True):
            rows += list(_errors(analysis, types, tuned=tuned))
    return rows


def _errors(analysis: Analysis, types: Types, *, tuned: bool) -> Iterator[tuple[str, ...]]:
    studies = [study for study in analysis.studies if study.types == types]
    points = [point for study in studies for point in (study.after if tuned else study.before)]
    begin = 0
    for end in STEPS_TOLD:
        some = [point for point in points if begin < point.step <= end]
        trained = [point for point in some if point.accuracy is not None]
        yield (
            f"{begin + 1} to {end}" if end > begin + 1 else str(end),
            types,
            "after" if tuned else "before",
            str(len(trained)),
            _mean(
                [abs(point.predicted_accuracy - (point.accuracy or 0)) for point in trained], 100
            ),
            _mean([error for point in some if (error := _octaves(point)) is not None], 1),
        )
        begin = end


def _octaves(point: PathPoint) -> float | None:
    if point.parameters is None or point.predicted_parameters <= 0:
        return None
    return abs(math.log2(point.predicted_parameters / point.parameters))


def _mean(values: list[float], scale: float) -> str:
    return f"{scale * sum(values) / len(values):.2f}" if values else "-"


def _draw(analysis: Analysis) -> Iterator[Drawing]:
    """The figures of the first seed, of each coding."""
    samples, size = analysis.samples[0], analysis.source_parameters
    for study in analysis.studies:
        if study.seed:
            continue
        types = study.types
        fields = ("type", *FIELDS) if types == "ordinal" else (*PAPER_KINDS, *FIELDS)
        yield drawing(
            f"filters-{types}",
            f"{len(study.filters)} filters of the encoder's first convolution, {types} types",
            partial(filter_figure, study.filters, fields),
        )
        for measure in MEASURES:
            yield drawing(
                f"{measure}-{types}",
                f"Predicted and true {measure} by step of the descent, {types} types",
                partial(path_figure, study.before, study.after, measure, size),
            )
        for colour in COLOURS:
            yield drawing(
                f"map-{colour}-{types}",
                f"Embeddings of samples by {colour}, and the descent, {types} types",
                partial(map_figure, study, samples, colour),
            )
