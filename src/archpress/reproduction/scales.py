"""`Scale`: how much of the paper's work is done, and what that leaves out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from archpress.compression.settings import MIRRORED, Settings, settings_for
from archpress.embedding.paper import PaperSettings
from archpress.errors import EvaluationError
from archpress.evaluation import Recipe, final, paper, quick
from archpress.reproduction.table_one import TableOneRow

SCALES = ("quick", "medium", "paper")


@dataclass(frozen=True)
class Scale:
    """How much work a reproduction is.

    Attributes:
        name: one of `SCALES`.
        nets: architectures that each method may train.
        settings: recipes, initialisations of a trial, and how our own embedding is fitted.
        seeds: runs of each method.
        most_macs: of any net, multiply-adds of one image; None: as many as the spaces allow.
        trains_base: whether the base is trained too; else the paper's number stands alone.
    """

    name: str
    nets: int
    settings: Settings
    seeds: int
    most_macs: int | None
    trains_base: bool

    def leaves_out(self, row: TableOneRow) -> list[str]:
        """How this is less than the paper, or other; one sentence each."""
        full = scale_of("paper", row)
        return list(_differences(self, full))


def scale_of(name: str, row: TableOneRow) -> Scale:
    """A scale for a row of Table 1.

    Args:
        name: "quick" (half an hour on two cores), "medium" (a day or so), "paper" (what the paper
            says).
        row: of the table.

    Raises:
        EvaluationError: another name.
    """
    mirrored, gray = row.data in MIRRORED, row.base == "conv7"
    distillation = Settings.distillation if gray else 0.0  # where the base is trained
    match name:
        case "quick":
            settings = replace(
                settings_for("quick"),
                trial=quick(epochs=3, train_images=3000, spare_images=3000),
                final=replace(final(epochs=6, flip=mirrored), train_images=12_000),
                finalists=1,
                distillation=distillation,
                paper=PaperSettings(iterations=10_000),
            )
            return Scale(name, 40, settings, 1, None if gray else 15 * 10**6, gray)
        case "medium":
            settings = replace(
                settings_for("standard"),
                trial=quick(epochs=5, train_images=10_000, spare_images=5000),
                final=replace(
                    final(epochs=30, flip=mirrored, crop=0 if gray else 4), evaluate_every=0
                ),
                distillation=distillation,
            )
            most = None if gray else 40 * 10**6
            return Scale(name, 150, settings, 3, most, gray)
        case "paper":
            recipe = paper(row.data)
            settings = replace(
                settings_for("thorough"),
                trial=replace(recipe, name="paper, 5 epochs", epochs=5, milestones=()),
                final=recipe,
                initialisations=5,
                paper=PaperSettings(iterations=row.iterations),
            )
            return Scale(name, 1500, settings, 3, None, True)
    raise EvaluationError(f"no scale is called {name!r}; known are {', '.join(SCALES)}")


def _differences(scale: Scale, full: Scale) -> Iterator[str]:
    here = scale.settings
    there = full.settings.in_precision(here.trial.precision)
    if scale.nets < full.nets:
        yield f"{scale.nets} architectures a method instead of {full.nets:,}"
    if here.initialisations < there.initialisations:
        yield (
            f"{here.initialisations} initialisation of each instead of the mean of "
            f"{there.initialisations}"
        )
    if here.trial != there.trial:
        yield f"trials: {_told(here.trial)} instead of {_told(there.trial)}"
    if here.final != there.final:
        yield f"final trainings: {_told(here.final)} instead of {_told(there.final)}"
    if here.trial.precision != full.settings.trial.precision:
        yield f"trainings compute in {here.trial.precision}"
    fit, whole_fit = here.paper.iterations, there.paper.iterations
    if fit < whole_fit:
        yield f"{fit:,} iterations of the fit instead of {whole_fit:,}"
    if scale.most_macs is not None:
        yield f"no net of more than {scale.most_macs / 1e6:.0f} M multiply-adds"
    if not scale.trains_base:
        yield "the base is not trained: its accuracy is the paper's"


def _told(recipe: Recipe) -> str:
    images = "all" if recipe.train_images is None else f"{recipe.train_images:,}"
    epochs = "epoch" if recipe.epochs == 1 else "epochs"
    return f"{recipe.epochs} {epochs} of {images} images ({recipe.optimizer}, {recipe.schedule})"
