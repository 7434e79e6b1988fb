# The base is an argument, so that it can come from anywhere: any image with Python 3.11 or newer.
ARG BASE=python:3.12-slim
FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
RUN python3 -m venv /opt/canary && python3 -m venv /opt/build \
 && /opt/canary/bin/python -m pip install --no-cache-dir --no-compile --require-hashes -r requirements.lock \
 && /opt/build/bin/python -m pip install --no-cache-dir --no-compile --require-hashes -r requirements-dev.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY canary canary
COPY analysis analysis
# What is large and never imported goes: the libraries' tests, pip, the asynchronous client of Kubernetes, and of
# scipy all but its special functions. Bytecode is made of what a driver imports, and of nothing else: the root is
# read-only where it runs.
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/canary/bin/python -m pip install --no-cache-dir --no-compile --no-deps /dist/*.whl \
 && /opt/canary/bin/python -m pip uninstall --yes pip setuptools \
 && find /opt/canary -type d \( -name tests -o -name test -o -name __pycache__ \) -prune -exec rm -rf {} + \
 && cd /opt/canary/lib/python3*/site-packages && rm -rf kubernetes/aio \
 && for part in cluster constants datasets differentiate fft fftpack integrate interpolate io ndimage odr optimize \
        signal sparse spatial stats; do rm -rf scipy/$part; done \
 && cd / && /opt/canary/bin/python -c \
        "import analysis.judge, canary.cli.app, canary.kube.workloads, canary.loop, canary.metrics.prometheus, \
         canary.seal.ed25519, canary.seal.webhook"

FROM ${BASE}
COPY --from=build /opt/canary /opt/canary
ENV PATH=/opt/canary/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["canary"]
CMD ["--help"]
