"""From photos to prepared splits: sources, splitting, decoding, preprocessing. Free of torch."""
