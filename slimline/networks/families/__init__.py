"""One file per family of published networks; `slimline.networks.registry` names their entries."""
