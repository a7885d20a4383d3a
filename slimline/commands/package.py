"""Put the product into one folder to ship: model, labels, preprocessing, model card, checksums.

  python -m slimline package build/shoes-v3

writes

  model.onnx     the int8 model: normalised images in, one logit per class out
  model.onnx.gz  the same, compressed: the size that counts where it is sent, zeros and all
  labels.txt     a class per line, in the order of the logits
  model.json     how an image becomes the input, step by step, and what the model was made from
  predict.py     answers; one file that needs numpy, Pillow and onnxruntime
  model_card.md  what it is for, its figures, how to run it
  preprocessing.md
                 the same steps to the byte, for a program in another language
  SHA256SUMS     checked by `sha256sum --check SHA256SUMS`

where `targets` names other runtimes,

  devices/       a folder for each, as devices/executorch: the same product as model.pte, with its
                 own model.json and labels.txt

and with --browser, which needs npm and a network once,

  browser/       a page that classifies photos with ONNX Runtime Web, with no network:
                 python -m http.server --directory build/shoes-v3/browser

and with --torch, which needs torch here,

  torch/         the pruned model in float, and the trained one that rounds as int8 does, as .pt2:
                 torch.export.load("torch/prune.pt2").module() answers normalised images

The files must be those that dvc.lock has, so that the figures on the card are of this very model.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("target", metavar="DIR", type=Path, help="a new or an empty folder")
    parser.add_argument("--browser", action="store_true", help="add a page for browsers")
    parser.add_argument("--torch", action="store_true", help="add the models in torch's own form")


def run(arguments: Namespace) -> int:
    """Write the folder and print the files in it, with their sizes."""
    from slimline import variants
    from slimline.repository import declared_stages, package
    from slimline.targets.model_file import KIB

    card = Path("metrics", package.CARD)
    lock = declared_stages.read_lock(Path())
    product = Path("models", variants.read().product)
    names = package.pack(
        product,
        card,
        arguments.target,
        lock,
        with_page=arguments.browser,
        with_torch=arguments.torch,
    )
    for name in names:
        path = arguments.target / name
        print(f"{path}\t{path.stat().st_size / KIB:.1f} KiB")
    return 0
