"""Batches for the PyTorch programs: images in memory as bytes, or turned and mirrored as they are wanted."""

import numpy as np
import torch


class Gathered:
    """Batches without end, gathered in memory and scaled there."""

    def __init__(self, recipe, images, labels, layout):
        self.batch, self.layout, (self.low, high) = recipe.schedule.batch_size, layout, recipe.data.pixel_range
        self.scale = (high - self.low) / 255
        self.images = torch.from_numpy(images)
        self.labels = None if labels is None else torch.from_numpy(labels).long()

    def scaled(self, pixels):
        return (pixels.float() * self.scale + self.low).contiguous(memory_format=self.layout)

    def next(self):
        chosen = torch.randint(0, len(self.images), (self.batch,))
        return self.scaled(self.images[chosen]), None if self.labels is None else self.labels[chosen]


class Turned(Gathered):
    """Batches of images that are turned by random degrees and mirrored, by OpenCV, as the recipes of pizzas have it."""

    def __init__(self, recipe, images, labels, layout):
        super().__init__(recipe, images, labels, layout)
        self.size, self.step = recipe.data.size, 90 if recipe.data.quarter_turns else 1  # pixels, degrees
        self.stored = np.ascontiguousarray(images.transpose(0, 2, 3, 1))  # as OpenCV wants them

    def next(self):
        chosen = torch.randint(0, len(self.stored), (self.batch,))
        angles = self.step * np.random.randint(0, 360 // self.step, self.batch)
        mirrored = np.random.randint(0, 2, self.batch)
        turned = [self.turn(self.stored[i], *way) for i, *way in zip(chosen.tolist(), angles.tolist(), mirrored)]
        pixels = torch.from_numpy(np.stack(turned)).permute(0, 3, 1, 2)
        return self.scaled(pixels), None if self.labels is None else self.labels[chosen]

    def turn(self, image, degrees, mirrored):
        import cv2

        if mirrored:
            image = image[:, ::-1]
        matrix = cv2.getRotationMatrix2D(((self.size - 1) / 2,) * 2, -degrees, image.shape[0] / self.size)
        matrix[:, 2] += (image.shape[0] - self.size) / 2
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (self.size,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)


class Loaded(Gathered):
    """Batches of a DataLoader over a Dataset that scales each image, as tutorials do it."""

    def __init__(self, recipe, images, labels, layout):
        super().__init__(recipe, images, labels, layout)
        self.loader = torch.utils.data.DataLoader(self, self.batch, shuffle=True, drop_last=True)
        self.epoch = iter(())

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index].float().div(255).sub(0.5).div(0.5)

    def next(self):
        batch = next(self.epoch, None)
        if batch is None:
            self.epoch = iter(self.loader)
            batch = next(self.epoch)
        return batch, None


def batches(recipe, data, layout, dataloader=False):
    """Return an object whose `next()` gives images, float32, and labels, int64, if the recipe has any."""
    labels = data.labels if recipe.data.classes else None
    if recipe.data.clusters:
        from ms_gan.data.clusters import find_clusters

        labels = find_clusters(data.images, recipe.data.clusters).of(data.images)
    turned = recipe.data.rotate_and_mirror or recipe.data.quarter_turns
    kind = Loaded if dataloader else Turned if turned else Gathered
    return kind(recipe, data.images, labels, layout)
