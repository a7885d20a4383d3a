"""ONNX Runtime as a target: `exporter` writes what `runtime` loads, runs and looks into."""
