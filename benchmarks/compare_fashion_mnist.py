"""All ways to search on the packaged sample of Fashion-MNIST, CONV-7, under a limit on parameters.

    python benchmarks/compare_fashion_mnist.py 20000 runs/compare-20000

A trial is 3 epochs on 2,000 images, validated on 4,200; a final training 12 epochs on all 10,800.
Of `default`, the last trainings of the budget are longer: a semifinal of 3 epochs
(`--semifinalists`), then final ones of the best of it (`--finalists`) and hand-made nets; the
best is distilled from the trained source and all finalists.
The recipes were chosen on other images of Fashion-MNIST than those of the sample's test split. The
same command goes on after a kill; `--arms` and `--seeds` add to what is there, and `--join` what
another folder has.

    python benchmarks/compare_fashion_mnist.py 20200 runs/whole-20200 --whole \
        --arms default,hand-made --seeds 3 --semifinalists 6 --finalists 1

takes all 60,000 images and 30 epochs for the final trainings; trials are as brief as above.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from archpress.comparison import compare
from archpress.compression import Settings, settings_for
from archpress.evaluation import final, quick
from archpress.space import Limits
from archpress.terminal import TerminalProgress

ARMS = "default,random,narrowing,evolution,tpe"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare ways to search on Fashion-MNIST.")
    parser.add_argument("parameters", type=int)
    parser.add_argument("run", type=Path)
    parser.add_argument("--arms", default=ARMS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--whole", action="store_true", help="all images, 30 epochs")
    parser.add_argument("--semifinalists", type=int, default=20)
    parser.add_argument("--finalists", type=int, default=3, help="beside hand-made nets")
    parser.add_argument("--join", type=Path, action="append", default=[], help="another RUN")
    given = parser.parse_args()
    settings = replace(
        settings_for("quick"),
        trial=quick(epochs=3, train_images=2000, spare_images=3000),
        final=replace(final(epochs=30 if given.whole else 12, flip=True), evaluate_every=0),
        semifinalists=given.semifinalists,
        finalists=given.finalists,
        distillation=Settings.distillation,
    )
    with TerminalProgress(Console(stderr=True), quiet=False) as progress:
        found = compare(
            "conv7",
            "fashion-mnist" if given.whole else "fashion-mnist-sample",
            Limits(max_parameters=given.parameters),
            run=given.run,
            arms=given.arms.split(","),
            budget=given.budget,
            seeds=given.seeds,
            first_seed=given.first_seed,
            joined=given.join,
            settings=settings,
            progress=progress,
        )
    print(found.verdict)


if __name__ == "__main__":
    main()
