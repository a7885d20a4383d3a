"""Networks of your own.

`backbone: own.mine:build` in `params.yaml` calls `build(num_classes, in_channels)` of own/mine.py,
which returns an `nn.Module`.
"""
