import builtins
import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest
import torch
from scipy.io import savemat

from archpress.data import NAMES, list_named, load_data, places
from archpress.data.named import OFFICIAL, SAMPLE_FOLDER
from archpress.errors import DataError


def cycling_labels(count, classes=10):
    return np.arange(count) % classes


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def idx(array):
    """The idx format by hand: type 8, axes, sides big-endian, values."""
    header = bytes([0, 0, 8, array.ndim])
    header += b"".join(int(side).to_bytes(4, "big") for side in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx_set(folder, train=40, test=20, zipped=True, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part, count, seed in (("train", train, 1), ("t10k", test, 2)):
        images = random_images(count, 28, 28, seed=seed)
        part_labels = (cycling_labels(count) + first) % 10
        arrays[part] = images, part_labels
        for name, array in (("images-idx3", images), ("labels-idx1", part_labels)):
            content = idx(array)
            path = folder / f"{part}-{name}-ubyte"
            if zipped:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return arrays


def cifar_records(images, labels, coarse=False):
    """Records by hand: (coarse label,) label, red plane, green plane, blue plane."""
    return b"".join(
        (b"\0" if coarse else b"") + bytes([label]) + image.tobytes()
        for image, label in zip(images, labels, strict=True)
    )


def cifar10_files(per_batch=20, test=20):
    files = {}
    for number in range(1, 6):
        images = random_images(per_batch, 3, 32, 32, seed=number)
        files[f"data_batch_{number}.bin"] = cifar_records(images, cycling_labels(per_batch))
    images = random_images(test, 3, 32, 32, seed=9)
    files["test_batch.bin"] = cifar_records(images, cycling_labels(test))
    return files


def write_archive(path, folder, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def cifar100_files(per_class=2):
    files = {}
    for name, seed in (("train.bin", 1), ("test.bin", 2)):
        images = random_images(100 * per_class, 3, 32, 32, seed=seed)
        files[name] = cifar_records(images, cycling_labels(len(images), 100), coarse=True)
    return files


def write_files(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def write_svhn(folder, train=40, test=20):
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        images = random_images(32, 32, 3, count, seed=count)  # H W C N, as in the official file
        labels = cycling_labels(count)[:, None] + 1  # 1..10
        savemat(folder / f"{part}_32x32.mat", {"X": images, "y": labels.astype(np.uint8)})


def all_images(data):
    return sorted(
        image.numpy().tobytes() for part in (data.train, data.validation) for image in part.images
    )


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_are_read_gzipped_or_not(given, name, zipped):
    arrays = write_idx_set(given / name, zipped=zipped)
    data = load_data(name)
    assert (data.input_shape, data.classes) == ((1, 28, 28), 10)
    assert (len(data.train), len(data.validation)) == (30, 10)
    assert all_images(data) == sorted(image.tobytes() for image in arrays["train"][0])
    test = data.read_test()
    assert np.array_equal(test.images[:, 0].numpy(), arrays["t10k"][0])
    assert test.labels.tolist() == arrays["t10k"][1].tolist()


def test_zipped_or_not_is_the_same_data(given, tmp_path, monkeypatch):
    write_idx_set(given / "mnist", zipped=True)
    zipped = load_data("mnist").key
    write_idx_set(tmp_path / "other", zipped=False)
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "other"))
    assert load_data("mnist").key == zipped


@pytest.mark.parametrize("inner", ["", "mnist", "MNIST/raw", "mnist/MNIST/raw"])
def test_files_are_found_flat_and_in_the_folders_of_other_tools(given, inner):
    write_idx_set(given / inner)
    assert len(load_data("mnist").train) == 30


@pytest.mark.parametrize("place", ["cache", "system"])
def test_files_are_found_in_the_cache_and_in_the_place_of_the_system(tmp_path, place):
    write_idx_set(tmp_path / place / "fashion-mnist")
    assert len(load_data("fashion-mnist").train) == 30


def test_the_given_folder_comes_before_the_place_of_the_system(tmp_path, given):
    write_idx_set(tmp_path / "system" / "mnist", train=80)
    assert len(load_data("mnist").train) == 70  # 7 + 1 a class
    write_idx_set(given / "mnist", train=40)
    assert len(load_data("mnist").train) == 30


def test_files_of_mnist_lying_flat_are_not_taken_for_fashion_mnist(given):
    write_idx_set(given)
    labels = np.resize([5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 6, 7, 8], 60)  # begins like MNIST
    (given / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    (given / "train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(idx(random_images(60, 28, 28)))
    )
    assert load_data("mnist").classes == 10
    with pytest.raises(DataError, match="fashion-mnist is not on this machine"):
        load_data("fashion-mnist")


def test_the_test_files_are_not_opened_before_they_are_asked_for(given):
    write_idx_set(given / "mnist")
    for path in (given / "mnist").glob("t10k*"):
        path.write_bytes(b"not opened yet")
    data = load_data("mnist")
    with pytest.raises(DataError, match="truncated or damaged"):
        data.read_test()


def test_cifar10_is_read_from_its_binary_files(given):
    write_files(given / "cifar10", cifar10_files())
    data = load_data("cifar10")
    assert (data.input_shape, data.classes) == ((3, 32, 32), 10)
    assert data.class_names[0] == "airplane"
    assert len(data.train) + len(data.validation) == 100
    test = data.read_test()
    assert np.array_equal(test.images.numpy(), random_images(20, 3, 32, 32, seed=9))
    assert test.labels.tolist() == cycling_labels(20).tolist()


def test_cifar10_is_read_from_its_archive_as_from_its_files(given):
    write_archive(given / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", cifar10_files())
    archived = load_data("cifar10")
    assert len(archived.read_test()) == 20
    write_files(given / "cifar-10-batches-bin", cifar10_files())
    (given / "cifar-10-binary.tar.gz").unlink()
    assert load_data("cifar10").key == archived.key


def test_cifar10_is_read_from_an_npz_file_of_that_name(given):
    images = random_images(40, 32, 32, 3)
    np.savez(given / "cifar10.npz", x_train=images, y_train=cycling_labels(40))
    data = load_data("cifar10")
    assert data.class_names[9] == "truck"
    assert len(data.train) == 30


def test_cifar100_has_its_fine_labels(given):
    write_files(given / "cifar100", cifar100_files())
    data = load_data("cifar100")
    assert (data.classes, len(set(data.class_names))) == (100, 100)
    assert (len(data.train), len(data.validation)) == (100, 100)
    assert data.read_test().labels.tolist() == cycling_labels(200, 100).tolist()


def test_svhn_is_read_from_its_mat_files_with_10_for_the_digit_0(given):
    write_svhn(given / "svhn")
    data = load_data("svhn")
    assert (data.input_shape, data.classes) == ((3, 32, 32), 10)
    test = data.read_test()
    official = random_images(32, 32, 3, 20, seed=20)
    assert np.array_equal(test.images[4].numpy(), official[:, :, :, 4].transpose(2, 0, 1))
    assert test.labels.tolist() == ([*range(1, 10), 0] * 2)


@pytest.mark.parametrize(
    ("name", "write", "file"),
    [
        ("mnist", write_idx_set, "train-images-idx3-ubyte.gz"),
        ("cifar10", lambda folder: write_files(folder, cifar10_files()), "data_batch_3.bin"),
        ("cifar100", lambda folder: write_files(folder, cifar100_files()), "train.bin"),
        ("svhn", write_svhn, "train_32x32.mat"),
        (
            "cifar10",
            lambda folder: (
                folder.mkdir(),
                write_archive(folder / "cifar-10-binary.tar.gz", "c", cifar10_files()),
            ),
            "cifar-10-binary.tar.gz",
        ),
    ],
    ids=["idx", "cifar10", "cifar100", "svhn", "archive"],
)
@pytest.mark.parametrize("share", [0.0, 0.433])
def test_truncated_files_are_refused(given, name, write, file, share):
    write(given / name)
    path = given / name / file
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match="truncated") as caught:
        load_data(name)
    assert str(given / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_idx_file_of_another_kind_or_length_is_refused(given):
    write_idx_set(given / "mnist", zipped=False)
    path = given / "mnist" / "train-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes(content[:9])
    with pytest.raises(DataError, match="or a truncated one"):
        load_data("mnist")
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"says \(40, 28, 28\), but holds 31359 values"):
        load_data("mnist")
    path.write_bytes(b"\0\0\x0d" + content[3:])
    with pytest.raises(DataError, match="not an idx file of unsigned bytes"):
        load_data("mnist")


def test_an_archive_without_the_files_is_refused(given):
    write_archive(given / "cifar-10-binary.tar.gz", "c", {"readme.html": b"hello"})
    with pytest.raises(DataError, match=r"there is no data_batch_1\.bin in the archive"):
        load_data("cifar10")


@pytest.mark.parametrize("name", OFFICIAL)
def test_without_a_network_the_error_says_which_files_to_put_where(name, no_other_data):
    with pytest.raises(DataError, match="could not be downloaded from") as caught:
        load_data(name)
    sentence = str(caught.value)
    assert all(file in sentence for file in OFFICIAL[name].downloads)
    assert str(no_other_data / name) in sentence
    assert places.VARIABLE in sentence


def test_a_download_is_tried_from_each_address_and_kept(monkeypatch, no_other_data):
    tried = []

    def download(address, file, md5, folder):
        tried.append(address)
        if "ossci" in address:
            raise ConnectionError("offline")
        assert OFFICIAL["mnist"].downloads[file] == md5
        assert folder == no_other_data / "mnist"
        write_idx_set(folder)

    monkeypatch.setattr("archpress.data.named.download", download)
    assert len(load_data("mnist").train) == 30
    assert len(tried) == 8
    assert len(load_data("mnist").read_test()) == 20
    assert len(tried) == 8


def test_a_wrong_checksum_is_a_failed_download(monkeypatch):
    def download(address, file, md5, folder):
        raise ValueError("another hash")

    monkeypatch.setattr("archpress.data.named.download", download)
    with pytest.raises(DataError, match="ValueError"):
        load_data("svhn")


def test_a_variable_that_names_no_folder_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(DataError, match="there is no such folder"):
        load_data("mnist")


def test_every_checksum_is_an_md5_and_every_set_has_its_names():
    for named in OFFICIAL.values():
        assert all(len(bytes.fromhex(md5)) == 16 for md5 in named.downloads.values())
        assert len(set(named.class_names)) == len(named.class_names)


def test_the_list_tells_what_is_here_and_how_to_get_the_rest(given):
    write_files(given / "cifar10", cifar10_files())
    lines = {line.name: line for line in list_named()}
    assert tuple(lines) == NAMES
    assert lines["cifar10"].present
    assert lines["cifar10"].where == str(given / "cifar10")
    assert lines["cifar10"].train_images == 50_000
    assert not lines["svhn"].present
    assert "downloaded when first used" in lines["svhn"].where
    assert lines["fashion-mnist-sample"].present


def test_a_damaged_set_does_not_break_the_list(given):
    write_idx_set(given / "mnist")
    (given / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(b"bad")
    assert len(list_named()) == len(NAMES)


def test_the_sample_is_real_balanced_and_at_most_6_mb():
    data = load_data("fashion-mnist-sample")
    assert (data.input_shape, data.class_names[8]) == ((1, 28, 28), "Bag")
    assert torch.bincount(data.train.labels).tolist() == [1080] * 10
    assert torch.bincount(data.validation.labels).tolist() == [120] * 10
    assert torch.bincount(data.read_test().labels).tolist() == [200] * 10
    # The published mean and standard deviation of all 60,000 are 0.2860 and 0.3530.
    assert data.mean == pytest.approx((0.286,), abs=0.003)
    assert data.std == pytest.approx((0.353,), abs=0.003)
    assert sum(path.stat().st_size for path in SAMPLE_FOLDER.iterdir()) <= 6_000_000


def test_no_image_of_the_sample_is_in_both_splits():
    data = load_data("fashion-mnist-sample")
    train = set(all_images(data))
    assert len(train) > 11_990  # the official set has a few images twice
    assert not train & {image.numpy().tobytes() for image in data.read_test().images}


def test_reading_the_sample_for_training_does_not_open_its_test_file(monkeypatch):
    opened = []
    real = io.open

    def spy(file, *arguments, **keywords):
        opened.append(str(file))
        return real(file, *arguments, **keywords)

    monkeypatch.setattr(builtins, "open", spy)
    data = load_data("fashion-mnist-sample")
    assert any(path.endswith("train.png") for path in opened)
    assert not any(path.endswith("test.png") for path in opened)
    data.read_test()
    assert any(path.endswith("test.png") for path in opened)


def test_digits_have_a_carved_test_split():
    data = load_data("digits")
    counts = (len(data.train) + len(data.validation), len(data.read_test()))
    line = next(line for line in list_named() if line.name == "digits")
    assert counts == (line.train_images, line.test_images)
    assert (data.input_shape, data.classes) == ((1, 8, 8), 10)
    assert int(data.train.images.max()) == 255


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'archpress\[digits\]'"):
        load_data("digits")


def test_named_data_can_be_pickled_with_their_test_split(given):
    write_idx_set(given / "mnist")
    copy = pickle.loads(pickle.dumps(load_data("mnist")))
    assert len(copy.read_test()) == 20


def test_data_of_no_such_name_are_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(DataError, match="'fashion_mnist': give one of fashion-mnist-sample, "):
        load_data("fashion_mnist")
    with pytest.raises(DataError, match="there are no data"):
        load_data(tmp_path / "mnist")


def test_a_named_set_of_another_shape_than_asked_for_is_refused():
    with pytest.raises(DataError, match="the images are 1x28x28, not 3x32x32"):
        load_data("fashion-mnist-sample", input_shape=(3, 32, 32))
