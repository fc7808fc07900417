"""The recipes' training steps in PyTorch eager: one class for each, built from a recipe.

Each has `draw`, which draws what is random in a step, and `update(real, label, *noise)`, which does the step and
returns its scalars, as tensors without a gradient, in the order in which ms_gan's step names them. They are as lean as
this is in PyTorch: fused Adam, no gradient of weights that are not updated, no image drawn twice where one does.
"""

import copy
import math

import torch
from torch.nn import functional

from benchmarks.pytorch import networks

bce = functional.binary_cross_entropy_with_logits


def adam(network, settings, fused):
    betas = settings.beta1, settings.beta2
    return torch.optim.Adam(network.parameters(), settings.learning_rate, betas, settings.epsilon, fused=fused)


def share(found):
    return found.float().mean()


def sums_of_squares(x):
    """Return the sum over each image's numbers, as a mean over images."""
    return x.square().sum() / len(x)


class Program:
    """What the programs share: the networks by name, as attributes, and their optimizers, `adam_<name>`."""

    makes = {}

    def __init__(self, recipe, channels_last=False, fused=True):
        self.recipe, self.updates, self.batch = recipe, recipe.updates, recipe.schedule.batch_size
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.ones, self.zeros = torch.ones(self.batch, 1), torch.zeros(self.batch, 1)
        for name, make in self.makes.items():
            network = make(recipe).to(memory_format=self.layout)
            setattr(self, name, network)
            setattr(self, f"adam_{name}", adam(network, recipe.optimizers[name], fused))

    def latents(self):
        shape = self.batch, self.recipe.latent.size
        return torch.randn(shape) if self.recipe.latent.distribution == "normal" else 2 * torch.rand(shape) - 1

    def draw(self):
        return (self.latents(),)

    def apply(self, name, loss):
        """Do one update of a network."""
        optimizer = getattr(self, f"adam_{name}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class MLP(Program):
    makes = {"generator": networks.MLPGenerator, "discriminator": networks.MLPDiscriminator}

    def update(self, real, _, latents):
        fake = self.generator(latents)
        logits = self.discriminator(torch.cat((real.flatten(1), fake.detach())))
        logits_real, logits_fake = logits.split(self.batch)
        loss_d = bce(logits_real, self.ones) + bce(logits_fake, self.zeros)
        self.apply("discriminator", loss_d)

        self.discriminator.requires_grad_(False)
        logits = self.discriminator(fake)
        loss_g = bce(logits, self.ones)
        self.apply("generator", loss_g)
        self.discriminator.requires_grad_(True)
        return loss_d, loss_g, share(logits > 0), share(logits_real > 0), share(logits_fake < 0)


class ConvGAN(Program):
    """`dcgan`, and with labels `acgan`: D's fakes are drawn in inference mode, G learns from new latents."""

    makes = {"generator": networks.ConvGenerator, "discriminator": networks.ConvDiscriminator}

    def draw(self):
        def inputs():
            labels = [torch.randint(0, classes, (self.batch,))] if classes else []
            return [self.latents(), *labels]

        classes, ranges = self.recipe.data.classes, (self.updates.target_real, self.updates.target_fake)
        targets = [torch.empty(self.batch, 1).uniform_(low, high) for low, high in ranges]
        return (*inputs(), torch.cat(targets), *inputs())

    def judged(self, images):
        """Return D's logits, and the class logits in a list, or nothing."""
        found = self.discriminator(images)
        return (found[0], [found[1]]) if self.recipe.data.classes else (found, [])

    def update(self, real, label, *noise):
        half = len(noise) // 2
        of_d, targets, of_g = noise[:half], noise[half], noise[half + 1 :]
        self.generator.eval()
        with torch.no_grad():
            fake = self.generator(*of_d)
        self.generator.train()
        logits, class_logits = self.judged(torch.cat((real, fake)))
        losses_d = [bce(logits, targets)]
        losses_d += [0.5 * functional.cross_entropy(found[: self.batch], label) for found in class_logits]
        self.apply("discriminator", sum(losses_d))
        logits_real, logits_fake = logits.split(self.batch)

        self.discriminator.requires_grad_(False)
        logits, class_logits = self.judged(self.generator(*of_g))
        losses_g = [bce(logits, self.ones), *(functional.cross_entropy(found, of_g[1]) for found in class_logits)]
        self.apply("generator", sum(losses_g))
        self.discriminator.requires_grad_(True)
        right = [share(found.argmax(1) == of_g[1]) for found in class_logits]
        return *losses_d, *losses_g, share(logits > 0), *right, share(logits_real > 0), share(logits_fake < 0)


class RpGAN(Program):
    """The first number of a latent would choose the cluster; in training the label does."""

    makes = {"generator": networks.MLPGenerator, "discriminator": networks.MLPDiscriminator}

    def __init__(self, recipe, *options):
        super().__init__(recipe, *options)
        self.penalised, self.steps = min(self.updates.penalised, self.batch), 0
        self.ema = copy.deepcopy(self.generator).eval().requires_grad_(False)
        both = zip(self.ema.state_dict().values(), self.generator.state_dict().values())
        self.followed = [(average, now) for average, now in both if average.is_floating_point()]
        self.schedules = []
        for name, settings in recipe.optimizers.items():
            factor = settings.decay_rate ** (1 / settings.decay_steps)
            optimizer = getattr(self, f"adam_{name}")
            self.schedules.append(torch.optim.lr_scheduler.ExponentialLR(optimizer, factor))

    def penalties(self, real, fake, label):
        """Return the mean squared norm of D's slopes at some real and generated images, (2,), with a gradient."""
        some = torch.cat((real[: self.penalised], fake[: self.penalised])).requires_grad_()
        logits, _ = self.discriminator(some, label[: self.penalised].repeat(2))
        (slopes,) = torch.autograd.grad(logits.sum(), some, create_graph=True)
        return slopes.square().view(2, -1).sum(1) / self.penalised

    def update(self, real, label, latents):
        real, weight = real.flatten(1), self.updates.class_weight
        fake = self.generator(latents[:, 1:], label)
        logits, class_logits = self.discriminator(torch.cat((real, fake.detach())), label.repeat(2))
        logits_real, logits_fake = logits.split(self.batch)
        penalties = self.penalties(real, fake.detach(), label)
        loss_d = functional.softplus(logits_fake - logits_real).mean()
        loss_d_class = functional.cross_entropy(class_logits[: self.batch], label)
        self.apply("discriminator", loss_d + 0.5 * self.updates.gamma * penalties.sum() + weight * loss_d_class)
        pairs = share(logits_real > logits_fake)

        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            logits_real, _ = self.discriminator(real, label)
        logits, class_logits = self.discriminator(fake, label)
        loss_g = functional.softplus(logits_real - logits).mean()
        loss_g_class = functional.cross_entropy(class_logits, label)
        self.apply("generator", loss_g + weight * loss_g_class)
        self.discriminator.requires_grad_(True)
        self.follow()
        right = share(class_logits.argmax(1) == label)
        return loss_d, loss_g, penalties[0], penalties[1], pairs, loss_d_class, loss_g_class, right

    def follow(self):
        """Let the average follow the generator, and the learning rates decay."""
        rate = max(1 - self.recipe.ema.decay, 9 / (10 + self.steps))
        with torch.no_grad():
            for average, now in self.followed:
                average.lerp_(now, rate)
        for schedule in self.schedules:
            schedule.step()
        self.steps += 1


class CVAE(Program):
    makes = {"encoder": networks.Encoder, "generator": networks.Decoder}

    def update(self, real, label, epsilon):
        mean, log_variance = self.encoder(real, label)
        images = self.generator(mean + torch.exp(0.5 * log_variance) * epsilon, label)
        reconstruction, kl = sums_of_squares(images - real), divergence(mean, log_variance)
        loss = reconstruction + self.updates.kl_weight * kl
        self.adam_encoder.zero_grad()
        self.apply("generator", loss)
        self.adam_encoder.step()
        return loss, reconstruction, kl


def divergence(mean, log_variance):
    """Return KL(N(mean, exp(log_variance)) ‖ N(0, 1)), summed over the latent's numbers, mean over images."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(mean)


class CVAEGAN(Program):
    makes = {**CVAE.makes, "discriminator": networks.ConvDiscriminator}

    def draw(self):
        return self.latents(), self.latents()

    def penalty(self, real):
        """Return the mean squared norm of D's slopes at some real images, with a gradient."""
        some = real[: min(self.updates.penalised, self.batch)].detach().requires_grad_()
        (slopes,) = torch.autograd.grad(self.discriminator(some).sum(), some, create_graph=True)
        return sums_of_squares(slopes)

    def update(self, real, label, epsilon, latents):
        mean, log_variance = self.encoder(real, label)
        drawn = (self.generator(mean + torch.exp(0.5 * log_variance) * epsilon, label), self.generator(latents, label))
        shown = [images.detach() for images in drawn]
        logits_d = self.discriminator(torch.cat((real, *shown)))
        of_real, of_first, of_second = logits_d.split(self.batch)
        loss_d = bce(of_real, self.ones) + bce(of_first, self.zeros) + bce(of_second, self.zeros)
        penalty = self.penalty(real)
        self.apply("discriminator", loss_d + 0.5 * self.updates.gamma * penalty)

        self.discriminator.requires_grad_(False)
        logits, loss_g, reconstruction = self.judged(real, [images.requires_grad_() for images in shown])
        weighted, kl = self.updates.reconstruction_weight * reconstruction, divergence(mean, log_variance)
        (slopes,) = torch.autograd.grad(weighted, shown[0], retain_graph=True)
        loss_g.backward()  # the slopes of the fooling alone, into the images
        self.discriminator.requires_grad_(True)
        self.adam_encoder.zero_grad()
        self.adam_generator.zero_grad()
        parts = (self.updates.kl_weight * kl, drawn[0])
        weights = [list(network.parameters()) for network in (self.encoder, self.generator)]
        torch.autograd.backward(parts, (None, slopes), retain_graph=True, inputs=weights[0])
        torch.autograd.backward(drawn, (slopes + shown[0].grad, shown[1].grad), inputs=weights[1])
        self.adam_encoder.step()
        self.adam_generator.step()
        threshold = math.log(0.5)  # D sees two fakes for each real image
        right = share(of_real > threshold), share(of_first < threshold), share(of_second < threshold)
        return loss_d, penalty, loss_g, reconstruction, kl, share(logits > threshold), *right

    def judged(self, real, shown):
        """Return D's logits of the images, how well they fool it, and how far the first's maps are from the real ones'.

        D judges them one after the other, so that what compares maps goes back through the first images alone.
        """
        count = self.updates.reconstruction_layer
        with torch.no_grad():
            wanted = self.discriminator.maps(real, count)
        maps = self.discriminator.maps(shown[0], count)
        logits = torch.cat((self.discriminator.judge(maps, count), self.discriminator(shown[1])))
        return logits, bce(logits, torch.ones_like(logits)), sums_of_squares(maps - wanted)


PROGRAMS = {"mlp": MLP, "acgan": ConvGAN, "rpgan": RpGAN, "dcgan": ConvGAN, "cvae_early": CVAE, "cvae_gan": CVAEGAN}
