# The base is an argument, so that it can come from anywhere: any image with Python 3.11 or newer.
ARG BASE=python:3.12-slim
FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
RUN python3 -m venv /opt/canary && python3 -m venv /opt/build \
 && /opt/canary/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/build/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-dev.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY canary canary
COPY analysis analysis
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/canary/bin/python -m pip install --no-cache-dir --no-deps /dist/*.whl

FROM ${BASE}
COPY --from=build /opt/canary /opt/canary
ENV PATH=/opt/canary/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["canary"]
CMD ["--help"]
