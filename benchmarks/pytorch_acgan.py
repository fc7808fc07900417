"""The `acgan` networks and updates in PyTorch eager, doing what the document does, in PyTorch's default layout."""

import sys

import timing
import torch
from torch import nn
from torch.nn import functional

CLASSES = 10


class SamePadding(nn.Conv2d):
    """A convolution padded as Keras pads: the odd pixel goes to the right and below."""

    def forward(self, x):
        missing = [max((-(-size // self.stride[0]) - 1) * self.stride[0] + 5 - size, 0) for size in x.shape[2:]]
        return super().forward(
            functional.pad(x, (missing[1] // 2, -(-missing[1] // 2), missing[0] // 2, -(-missing[0] // 2)))
        )


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Sequential(
            nn.Linear(timing.LATENT + CLASSES, 1960), nn.BatchNorm1d(1960, 1e-3, 0.01), nn.LeakyReLU(0.2)
        )
        layers = []
        for before, stride in ((40, 2), (80, 1), (80, 1), (80, 1)):
            layers += [
                nn.ConvTranspose2d(before, 80, 5, stride, padding=2, output_padding=stride - 1),
                nn.BatchNorm2d(80, 1e-3, 0.01),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(80, 1, 5, 2, padding=2, output_padding=1), nn.Sigmoid())

    def forward(self, latents, labels):
        given = torch.cat((latents, functional.one_hot(labels, CLASSES).float()), 1)
        return self.layers(self.start(given).view(-1, 40, 7, 7))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for before, width, stride in ((1, 17, 2), (17, 35, 2), (35, 70, 2), (70, 140, 1), (140, 70, 1)):
            layers += [SamePadding(before, width, 5, stride), nn.LeakyReLU(0.2), nn.Dropout(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.real, self.classes = nn.Linear(1120, 1), nn.Linear(1120, CLASSES)

    def forward(self, images):
        features = self.layers(images)
        return self.real(features), self.classes(features)


def main() -> None:
    torch.manual_seed(1)
    images, labels = timing.mnist()
    images, labels = torch.from_numpy(images).view(-1, 1, 28, 28), torch.from_numpy(labels).long()
    g, d = Generator(), Discriminator()
    if sys.argv[3:] == ["channels_last"]:
        g, d = g.to(memory_format=torch.channels_last), d.to(memory_format=torch.channels_last)
    adam_g = torch.optim.Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999), eps=1e-7)
    adam_d = torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999), eps=1e-7)
    bce = functional.binary_cross_entropy_with_logits
    batch = timing.BATCH

    def step():
        chosen = torch.randint(0, len(images), (batch,))
        real = images[chosen].float() / 255
        with torch.no_grad():
            g.eval()
            fake = g(torch.randn(batch, timing.LATENT), torch.randint(0, CLASSES, (batch,)))
            g.train()
        targets = torch.cat((torch.empty(batch, 1).uniform_(0.8, 1), torch.empty(batch, 1).uniform_(0, 0.2)))
        adam_d.zero_grad()
        logits, class_logits = d(torch.cat((real, fake)))
        loss_d = bce(logits, targets) + 0.5 * functional.cross_entropy(class_logits[:batch], labels[chosen])
        loss_d.backward()
        adam_d.step()

        wanted = torch.randint(0, CLASSES, (batch,))
        d.requires_grad_(False)
        adam_g.zero_grad()
        logits, class_logits = d(g(torch.randn(batch, timing.LATENT), wanted))
        loss_g = bce(logits, torch.ones(batch, 1)) + functional.cross_entropy(class_logits, wanted)
        loss_g.backward()
        adam_g.step()
        d.requires_grad_(True)
        return loss_d.item(), loss_g.item(), (logits > 0).float().mean().item()

    timing.report(step)


if __name__ == "__main__":
    main()
