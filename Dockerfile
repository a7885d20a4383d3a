# The two commands of the README in a container, torch without CUDA:
#   docker build --tag slimline .
#   docker run --rm slimline                  # make repro, then make test
#   docker run --rm -it slimline bash         # look around; leave with the container what it made
# With `--build-arg TORCH=default` torch has CUDA and comes from the ordinary index.
FROM python:3.13-slim-trixie
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /slimline
COPY . .
ARG TORCH=cpu
RUN make .venv/installed-development PYTHON=python3 TORCH="$TORCH"
ENV PATH="/slimline/.venv/bin:$PATH"
CMD ["sh", "-c", "make repro && make test"]
