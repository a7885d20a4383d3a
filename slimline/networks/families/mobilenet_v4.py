"""MobileNetV4 (Qin et al., 2024, arXiv:2404.10518), from timm: the forms of ReLU alone."""

from slimline.networks.published import of_timm

CONV_SMALL = of_timm("mobilenetv4_conv_small", num_blocks=5)
CONV_MEDIUM = of_timm("mobilenetv4_conv_medium", num_blocks=5)
