"""The `mlp` networks and updates in PyTorch eager.

As lean as PyTorch allows: the images stay in memory as bytes and a batch is gathered and scaled there; the
generator runs forward once a step, and D judges its images detached. With `dataloader` as the third
argument the batches come from a DataLoader over a Dataset that scales each image, as tutorials do it.
"""

import sys

import timing
import torch
from torch import nn
from torch.nn import functional


def generator() -> nn.Module:
    widths = [128, 256, 512, 1024]
    layers = [nn.Linear(timing.LATENT, widths[0]), nn.ReLU()]
    for before, width in zip(widths, widths[1:]):
        layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 784), nn.Tanh())


def discriminator() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1)
    )


class Images(torch.utils.data.Dataset):
    """One image at a time, scaled to [−1, 1]."""

    def __init__(self, images: torch.Tensor):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index].float().div(255).sub(0.5).div(0.5)


def loaded(images: torch.Tensor):
    """Batches without end, each epoch shuffled."""
    loader = torch.utils.data.DataLoader(Images(images), timing.BATCH, shuffle=True, drop_last=True)
    while True:
        yield from loader


def gathered(images: torch.Tensor):
    """Batches without end, gathered in memory."""
    while True:
        yield images[torch.randint(0, len(images), (timing.BATCH,))].float() / 127.5 - 1


def main() -> None:
    torch.manual_seed(1)
    images = torch.from_numpy(timing.mnist()[0])
    batches = loaded(images) if sys.argv[3:] == ["dataloader"] else gathered(images)
    g, d = generator(), discriminator()
    adam_g = torch.optim.Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_d = torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    ones, zeros = torch.ones(timing.BATCH, 1), torch.zeros(timing.BATCH, 1)
    bce = functional.binary_cross_entropy_with_logits

    def step():
        real = next(batches)
        fake = g(torch.randn(timing.BATCH, timing.LATENT))
        adam_d.zero_grad()
        logits_real, logits_fake = d(real), d(fake.detach())
        loss_d = bce(logits_real, ones) + bce(logits_fake, zeros)
        loss_d.backward()
        adam_d.step()
        adam_g.zero_grad()
        loss_g = bce(d(fake), ones)
        loss_g.backward()
        adam_g.step()
        return (
            loss_d.item(),
            loss_g.item(),
            (logits_real > 0).float().mean().item(),
            (logits_fake < 0).float().mean().item(),
        )

    timing.report(step)


if __name__ == "__main__":
    main()
