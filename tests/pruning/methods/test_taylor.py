import torch
from torch import nn

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.pruning.methods import taylor

FRAME = Preprocessing(4, 4, 1, (0.0,), (1.0,))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.conv(images)).mean([2, 3]))


def test_scores_are_the_change_of_the_loss_to_first_order() -> None:
    torch.manual_seed(0)
    network = Net().eval()
    images = torch.randint(0, 256, (40, 4, 4, 1), dtype=torch.uint8).numpy()
    labels = torch.randint(0, 2, (40,)).numpy()
    model = Classifier(network, Architecture("resnet18", 2, 1, 1, 3), ["a", "b"], FRAME)
    split = Split(images, labels, ["a", "b"], FRAME)
    rows, columns = taylor.loss_changes(model, split)["head"]

    def loss(scale: torch.Tensor) -> torch.Tensor:
        scaled = network.norm(network.conv(torch.from_numpy(FRAME.normalise(images)))).mean([2, 3])
        return nn.functional.cross_entropy(network.head(scaled * scale), torch.from_numpy(labels))

    slope = torch.autograd.functional.jacobian(loss, torch.ones(3))
    assert torch.allclose(columns, slope.abs().double(), atol=1e-6)
    assert rows.shape == (2,)


def test_a_channel_that_nobody_reads_does_not_matter() -> None:
    torch.manual_seed(0)
    network = Net().eval()
    with torch.no_grad():
        network.head.weight[:, 1] = 0
    images = torch.randint(0, 256, (60, 4, 4, 1), dtype=torch.uint8).numpy()
    model = Classifier(network, Architecture("resnet18", 2, 1, 1, 3), ["a", "b"], FRAME)
    split = Split(images, torch.randint(0, 2, (60,)).numpy(), ["a", "b"], FRAME)
    scores = taylor.loss_changes(model, split)
    for name in ("conv", "norm"):
        rows = scores[name][0]
        assert rows[1] == 0
        assert rows[0] > 0
        assert rows[2] > 0
    assert all(weight.grad is None for weight in network.parameters())


def test_a_norm_without_weights_has_no_score() -> None:
    network = Net().eval()
    network.norm = nn.BatchNorm2d(3, affine=False).eval()
    images = torch.randint(0, 256, (20, 4, 4, 1), dtype=torch.uint8).numpy()
    model = Classifier(network, Architecture("resnet18", 2, 1, 1, 3), ["a", "b"], FRAME)
    split = Split(images, torch.randint(0, 2, (20,)).numpy(), ["a", "b"], FRAME)
    assert set(taylor.loss_changes(model, split)) == {"conv", "head"}


def test_the_images_of_a_short_last_batch_count_like_all_others() -> None:
    """Of 102 images only the last two are not black, and black ones change nothing here."""
    torch.manual_seed(0)
    network = Net().eval()
    nn.init.zeros_(network.conv.bias)
    images, labels = torch.zeros(102, 4, 4, 1, dtype=torch.uint8), torch.zeros(102).long()
    images[100:] = 255
    model = Classifier(network, Architecture("resnet18", 2, 1, 1, 3), ["a", "b"], FRAME)
    of_all, of_a_third = (
        taylor.loss_changes(
            model, Split(images[rows].numpy(), labels[rows].numpy(), ["a", "b"], FRAME)
        )["head"][1]
        for rows in (slice(None), slice(68, None))
    )
    assert of_a_third.max() > 0
    # Three batches of 34 images, of which one changes anything.
    assert torch.allclose(of_all, of_a_third / 3**0.5)
