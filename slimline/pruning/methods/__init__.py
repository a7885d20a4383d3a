"""One file per pruning method; `slimline.pruning.registry` names them."""
