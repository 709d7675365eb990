"""Images and labels as tensors: named sets, .npz files, image folders, any torch dataset.

    load_data("cifar10")                      a named set; `list_named()` tells all
    load_data("mine.npz")                     arrays x_train, y_train, perhaps x_test, y_test
    load_data("photos", input_shape=(3, 64, 64))   photos/CLASS/*.png, or photos/train/CLASS/...
    from_dataset(train, test, name="mine")    what gives (image, label) items

All give an `ImageData`: uint8 images, a stratified validation split by seed, and a test split that
is not opened before `read_test()`. `require_shape` refuses data that a network cannot take.
"""

from archpress.data.dataset import LabelledImages, from_dataset
from archpress.data.images import ImageData, InputShape, Split, require_shape
from archpress.data.loading import load_data
from archpress.data.named import NAMES, Listing, list_named

__all__ = [
    "NAMES",
    "ImageData",
    "InputShape",
    "LabelledImages",
    "Listing",
    "Split",
    "from_dataset",
    "list_named",
    "load_data",
    "require_shape",
]
