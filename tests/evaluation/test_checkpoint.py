from dataclasses import replace

import pytest
import torch

from archpress.architecture import Layer, chain
from archpress.evaluation import Candidate, Job, checkpoint, run_job, train

WITH_DROPOUT = chain(
    (1, 8, 8),
    Layer("conv", 3, 4, 1, 1),
    Layer("batch_norm"),
    Layer("relu"),
    Layer("dropout", rate=0.3),
    Layer("linear", channels=4),
)


class KilledError(Exception):
    pass


def killed_after(epoch: int):
    def stop(seen):
        if seen.number == epoch:
            raise KilledError

    return stop


@pytest.fixture
def every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)


@pytest.fixture
def recipe(brief):
    return replace(brief, epochs=5, flip=True, crop=1)


@pytest.fixture
def file(every_epoch, data, recipe, tmp_path):
    """What a training that was killed in its fourth epoch left; `on_epoch` comes before writing."""
    path = tmp_path / "unfinished.training"
    with pytest.raises(KilledError):
        train(WITH_DROPOUT, data, recipe, 3, checkpoint=path, on_epoch=killed_after(4))
    assert path.exists()
    return path


def same(one, other) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    every_epoch, data, recipe, optimizer, tmp_path
):
    recipe = replace(recipe, optimizer=optimizer)
    whole = train(WITH_DROPOUT, data, recipe, 3)
    path, numbers = tmp_path / "unfinished.training", []
    with pytest.raises(KilledError):
        train(WITH_DROPOUT, data, recipe, 3, checkpoint=path, on_epoch=killed_after(4))
    rest = train(
        WITH_DROPOUT,
        data,
        recipe,
        3,
        checkpoint=path,
        on_epoch=lambda epoch: numbers.append(epoch.number),
    )
    assert numbers == [4, 5]  # the third was the last that was written
    assert same(whole.network, rest.network)
    assert (rest.curve, rest.train_loss) == (whole.curve, whole.train_loss)
    assert not path.exists()


@pytest.mark.parametrize("other", ["seed", "recipe", "architecture"])
def test_the_state_of_another_training_is_passed_over(file, data, recipe, net, other):
    asked = {
        "seed": (WITH_DROPOUT, recipe, 4),
        "recipe": (WITH_DROPOUT, replace(recipe, learning_rate=0.013), 3),
        "architecture": (net, recipe, 3),
    }
    architecture, chosen, seed = asked[other]
    numbers = []
    train(
        architecture,
        data,
        chosen,
        seed,
        checkpoint=file,
        on_epoch=lambda epoch: numbers.append(epoch.number),
    )
    assert numbers == [1, 2, 3, 4, 5]


def test_a_file_that_is_no_state_costs_nothing(file, data, recipe):
    file.write_bytes(b"half a fi")
    whole = train(WITH_DROPOUT, data, recipe, 3)
    assert same(whole.network, train(WITH_DROPOUT, data, recipe, 3, checkpoint=file).network)


def test_a_folder_that_cannot_be_written_costs_nothing(every_epoch, data, recipe, tmp_path):
    nowhere = tmp_path / "missing" / "unfinished.training"
    whole = train(WITH_DROPOUT, data, recipe, 3)
    assert same(whole.network, train(WITH_DROPOUT, data, recipe, 3, checkpoint=nowhere).network)


def test_brief_trainings_write_nothing(data, recipe, tmp_path):
    path, seen = tmp_path / "unfinished.training", []
    train(
        WITH_DROPOUT,
        data,
        recipe,
        3,
        checkpoint=path,
        on_epoch=lambda _: seen.append(path.exists()),
    )
    assert not any(seen)


def test_a_job_keeps_its_state_beside_its_weights_until_they_are_there(
    every_epoch, data, recipe, tmp_path, monkeypatch
):
    weights, seen = tmp_path / "net.safetensors", []
    write = checkpoint.Checkpoint.write
    monkeypatch.setattr(
        checkpoint.Checkpoint,
        "write",
        lambda self, state: (write(self, state), seen.extend(tmp_path.iterdir())),
    )
    trial = run_job(Job(Candidate(WITH_DROPOUT, "net"), recipe, 0, weights), data)
    assert trial.done
    assert {path.name for path in seen} == {"net.training"}
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]
