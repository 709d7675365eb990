from dataclasses import replace

import pytest
import torch

from archpress.architecture import Layer, chain
from archpress.compression import train_to_folder
from archpress.evaluation import Candidate, Job, checkpoint, run_job, train
from archpress.search import Silent

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


def test_a_training_that_is_killed_twice_goes_on_twice(file, data, recipe):
    longer = []
    with pytest.raises(KilledError):
        train(WITH_DROPOUT, data, recipe, 3, checkpoint=file, on_epoch=killed_after(5))
    rest = train(WITH_DROPOUT, data, recipe, 3, checkpoint=file, on_epoch=longer.append)
    assert [epoch.number for epoch in longer] == [5]
    assert same(train(WITH_DROPOUT, data, recipe, 3).network, rest.network)


def test_a_student_goes_on_only_with_the_same_teacher(every_epoch, data, recipe, tmp_path):
    path, taught = tmp_path / "unfinished.training", replace(recipe, distillation=0.5, flip=False)
    teachers = [torch.randn(2, len(data.train), 4) for _ in range(2)]

    def student(teacher, on_epoch):
        return train(
            WITH_DROPOUT,
            data,
            taught,
            3,
            teacher_logits=teachers[teacher],
            checkpoint=path,
            on_epoch=on_epoch,
        )

    for teacher, begins in ((0, 4), (1, 1)):
        path.unlink(missing_ok=True)
        with pytest.raises(KilledError):
            student(0, killed_after(4))
        seen = []
        student(teacher, seen.append)
        assert seen[0].number == begins


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


def test_a_state_of_another_device_is_passed_over(file, data, recipe, monkeypatch):
    found = torch.load(file, weights_only=True)
    found["state"]["dropout"] = torch.zeros(16, dtype=torch.uint8)  # as a GPU's generator has it
    about = checkpoint.Checkpoint(file, ["on a GPU"])._about
    torch.save({**found, "about": about}, file)
    assert run_job(Job(Candidate(WITH_DROPOUT, "net"), recipe, 3), data).done
    whole = train(WITH_DROPOUT, data, recipe, 3)
    assert same(whole.network, train(WITH_DROPOUT, data, recipe, 3, checkpoint=file).network)


def test_weights_that_cannot_be_saved_do_not_cost_the_training(
    every_epoch, data, recipe, tmp_path, monkeypatch
):
    job = Job(Candidate(WITH_DROPOUT, "net"), recipe, 0, tmp_path / "net.safetensors")

    def full(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("archpress.evaluation.job.write_weights", full)
        assert not run_job(job, data).done
    assert [path.name for path in tmp_path.iterdir()] == ["net.training"]
    assert run_job(job, data).done
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_a_training_that_diverges_leaves_nothing(every_epoch, data, recipe, tmp_path):
    wild = replace(recipe, optimizer="sgd", learning_rate=1e30, clip=None)
    job = Job(Candidate(WITH_DROPOUT, "net"), wild, 0, tmp_path / "net.safetensors")
    assert "Diverged" in run_job(job, data).error
    assert list(tmp_path.iterdir()) == []


def test_half_a_file_of_a_killed_process_is_cleared_away(data, recipe, tmp_path):
    half = tmp_path / "net.training.123.unfinished"
    half.write_bytes(b"half")
    job = Job(Candidate(WITH_DROPOUT, "net"), recipe, 0, tmp_path / "net.safetensors")
    assert run_job(job, data).done
    assert not half.exists()


def test_archpress_train_goes_on_and_says_so(every_epoch, data, recipe, tmp_path, monkeypatch):
    class Listener(Silent):
        def __init__(self):
            self.heard = []

        def stage(self, name, total):
            self.heard.append((name, total))

        def say(self, text):
            self.heard.append(text)

        def advance(self, done, note=""):
            self.heard.append(done)
            if done == stops_at:
                raise KilledError

    stops_at, first, second = 4, Listener(), Listener()
    with pytest.raises(KilledError):
        train_to_folder(WITH_DROPOUT, data, recipe, tmp_path / "out", progress=first)
    assert first.heard == [("epochs", 5), 1, 2, 3, 4]
    stops_at = 0
    train_to_folder(WITH_DROPOUT, data, recipe, tmp_path / "out", progress=second)
    said = "Goes on after epoch 3 of 5."
    assert second.heard == [("epochs", 5), said, ("epochs left", 2), 1, 2]
    assert list((tmp_path / "out" / "weights").iterdir()) == []


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
