"""One small script per stage of the pipeline; `dvc.yaml` says how they are joined."""
