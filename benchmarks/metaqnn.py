"""How well final accuracies of MetaQNN's chains are predicted (Baker et al. 2017), as mean R².

    python benchmarks/metaqnn.py metaqnn_cifar10.csv --out benchmarks/results/metaqnn_cifar10.json

Random splits into training nets and all others; the same splits for all models. `predictor` is
`archpress.embedding.prediction`; forest and boosting are scikit-learn's over two dozen plain
numbers (`archpress.embedding.descriptors`). Finished splits are kept in the file, so the same
command goes on after a kill.
"""

import argparse
import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

from archpress.embedding.descriptors import describe
from archpress.embedding.prediction import Predictor

SIZES = (100, 800)
EPOCHS = (0, 5)  # of the curve that are known


def read(path: Path):
    """The adapter of the examples."""
    place = Path(__file__).parents[1] / "examples" / "metaqnn.py"
    spec = importlib.util.spec_from_file_location("metaqnn_chains", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.read_chains(path)


def r_squared(predicted: np.ndarray, measured: np.ndarray) -> float:
    rest = ((predicted - measured) ** 2).sum()
    return float(1 - rest / ((measured - measured.mean()) ** 2).sum())


def one_split(chains, table, size: int, seed: int, epochs: int) -> dict[str, float]:
    curves = np.array(chains.curves)
    final = curves[:, -1]
    order = np.random.default_rng(seed).permutation(len(final))
    train, test = order[:size], order[size:]
    first = curves[:, :epochs]
    known = {"curves": first[train]} if epochs else {}
    predictor = Predictor([chains.nets[i] for i in train], final[train], **known, seed=seed)
    asked = {"curves": first[test]} if epochs else {}
    scores = {
        "predictor": r_squared(
            predictor.predict([chains.nets[i] for i in test], **asked), final[test]
        )
    }
    whole = np.hstack([table, first])
    for name, model in (
        ("random forest", RandomForestRegressor(300, max_features=0.4, random_state=seed)),
        ("gradient boosting", GradientBoostingRegressor(subsample=0.7, random_state=seed)),
    ):
        model.fit(whole[train], final[train])
        scores[name] = r_squared(model.predict(whole[test]), final[test])
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict final accuracies of MetaQNN's chains.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--epochs", type=int, nargs="+", default=EPOCHS)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    chains = read(given.table)
    table = describe(chains.nets)
    kept = json.loads(given.out.read_text()) if given.out.exists() else {"splits": {}}
    for seed in range(given.splits):
        for size in SIZES:
            for epochs in given.epochs:
                key = f"{size} nets, {epochs} epochs, seed {seed}"
                if key in kept["splits"]:
                    continue
                started = time.perf_counter()
                scores = one_split(chains, table, size, seed, epochs)
                kept["splits"][key] = {k: round(v, 4) for k, v in scores.items()}
                kept["summary"] = summary(kept["splits"])
                given.out.parent.mkdir(parents=True, exist_ok=True)
                given.out.write_text(json.dumps(kept, indent=1) + "\n")
                print(f"{key}: {kept['splits'][key]} {time.perf_counter() - started:.0f} s")
    print(json.dumps(kept["summary"], indent=1))


def summary(splits: dict[str, dict[str, float]]) -> dict[str, dict[str, str]]:
    """Mean and standard deviation of each model, by size and epochs."""
    groups: dict[str, list[dict[str, float]]] = {}
    for key, scores in splits.items():
        groups.setdefault(key.rsplit(",", 1)[0], []).append(scores)
    return {
        group: {
            name: f"{np.mean(v):.3f} ± {np.std(v, ddof=min(1, len(v) - 1)):.3f} (n = {len(v)})"
            for name in rows[0]
            for v in [[row[name] for row in rows]]
        }
        for group, rows in groups.items()
    }


if __name__ == "__main__":
    main()
