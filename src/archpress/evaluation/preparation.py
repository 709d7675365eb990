"""From images as bytes to what the training loop reads: normalised once, augmented by the batch."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from archpress.data import ImageData, Split
from archpress.evaluation.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Normalisation:
    """`(x / 255 - mean) / std`, per channel.

    Attributes:
        mean: C values, of pixels scaled to [0, 1].
        std: C values, positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, data: ImageData, recipe: Recipe) -> "Normalisation":
        """The normalisation that a recipe asks for."""
        return usual_normalisations(data)[recipe.normalisation]

    def apply(self, images: Tensor, device: torch.device | str = "cpu") -> Tensor:
        """Normalise.

        Args:
            images: `N x C x H x W`, uint8.
            device: where the result is to lie.

        Returns:
            `N x C x H x W`, float32, channels last.
        """
        scaled = images.to(device).to(torch.float32, memory_format=torch.channels_last)
        std = torch.tensor(self.std, device=device).view(1, -1, 1, 1) * 255
        mean = torch.tensor(self.mean, device=device).view(1, -1, 1, 1) * 255
        return scaled.sub_(mean).div_(std)


IMAGENET = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # mean and std, as torchvision's nets have


def usual_normalisations(data: ImageData) -> dict[str, Normalisation]:
    """What networks are usually trained with, by name.

    By the data's own mean and std ("data"), pixels in [0, 1] ("unit"), in [-1, 1] ("half"), in
    [0, 255] ("bytes"), and of colour images by the mean and std of ImageNet ("imagenet").
    """
    channels = len(data.mean)

    def alike(mean: float, std: float) -> Normalisation:
        return Normalisation((mean,) * channels, (std,) * channels)

    found = {"data": Normalisation(data.mean, data.std), "unit": alike(0.0, 1.0)}
    found |= {"half": alike(0.5, 0.5), "bytes": alike(0.0, 1 / 255)}
    if channels == len(IMAGENET[0]):
        found["imagenet"] = Normalisation(*IMAGENET)
    return found


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A data set as the loop reads it, on the device.

    Attributes:
        images: `N x C x H x W`, float32, channels last: the training images that are used.
        labels: `N`, int64.
        validation_images: `M x C x H x W`, likewise: the validation split and spare images.
        validation_labels: `M`, int64.
    """

    images: Tensor
    labels: Tensor
    validation_images: Tensor
    validation_labels: Tensor


# Normalising CIFAR-10 takes as long as a small trial, and half a gigabyte: so a process keeps what
# it made, but only the last two (a search and its final training).
KEPT = 2
_prepared: OrderedDict[tuple[str, str, int | None, int, str], Prepared] = OrderedDict()


def prepare(data: ImageData, recipe: Recipe, device: torch.device) -> Prepared:
    """The tensors a recipe trains on, made once per process, data set and normalisation."""
    place = (
        data.key,
        recipe.normalisation,
        recipe.train_images,
        recipe.spare_images,
        str(device),
    )
    if place not in _prepared:
        normalisation = Normalisation.of(data, recipe)
        chosen = used_images(data, recipe)
        judged = _judged(data, recipe, chosen)
        while len(_prepared) >= KEPT:
            _prepared.popitem(last=False)
        _prepared[place] = Prepared(
            normalisation.apply(data.train.images[chosen], device),
            data.train.labels[chosen].to(device),
            normalisation.apply(judged.images, device),
            judged.labels.to(device),
        )
    _prepared.move_to_end(place)
    return _prepared[place]


def _judged(data: ImageData, recipe: Recipe, used: Tensor) -> Split:
    """The validation split, and the spare images: training images that the recipe leaves out."""
    is_spare = torch.ones(len(data.train.labels), dtype=torch.bool)
    is_spare[used] = False
    spare = torch.nonzero(is_spare).squeeze(1)
    spare = spare[balanced_first(data.train.labels[spare], recipe.spare_images)]
    return Split(
        torch.cat([data.validation.images, data.train.images[spare]]),
        torch.cat([data.validation.labels, data.train.labels[spare]]),
    )


def used_images(data: ImageData, recipe: Recipe) -> Tensor:
    """Indices of the training images that a recipe uses, rising; int64."""
    if recipe.train_images is None or recipe.train_images >= len(data.train.labels):
        return torch.arange(len(data.train.labels))
    return balanced_first(data.train.labels, recipe.train_images)


def balanced_first(labels: Tensor, count: int) -> Tensor:
    """Indices of the first `count` images, as evenly over the classes as they are there.

    >>> balanced_first(torch.tensor([0, 0, 0, 1, 1, 2]), 4).tolist()
    [0, 1, 3, 5]
    """
    rank = torch.empty_like(labels)  # how many of its class come before each image
    for label in torch.unique(labels):
        members = torch.nonzero(labels == label).squeeze(1)
        rank[members] = torch.arange(len(members))
    return torch.argsort(rank, stable=True)[:count].sort().values


def augment(images: Tensor, mirrored: Tensor | None, crop: int, rng: Generator) -> Tensor:
    """Mirror and shift each image of a batch on its own.

    Args:
        images: `B x C x H x W`, normalised, channels last.
        mirrored: `B`, bool: which to mirror; None: none.
        crop: largest shift in pixels; what comes in from outside is 0, the mean colour.
        rng: on the CPU, so that the draw is the same for every device.

    Returns:
        `B x C x H x W`, channels last.
    """
    if mirrored is not None:
        images = torch.where(mirrored.to(images.device).view(-1, 1, 1, 1), images.flip(3), images)
    if not crop:
        return images
    batch, _, height, width = images.shape
    shift = torch.randint(0, 2 * crop + 1, (2, batch, 1), generator=rng).to(images.device)
    rows = shift[0] + torch.arange(height, device=images.device)  # B x H
    columns = shift[1] + torch.arange(width, device=images.device)  # B x W
    padded = F.pad(images, (crop,) * 4).permute(0, 2, 3, 1)  # B C H W -> B H W C
    index = torch.arange(batch, device=images.device).view(-1, 1, 1)
    return padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
