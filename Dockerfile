# `lumina serve` in a container; docs/use/serve.md says how to build and start it.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
# a CPU alone; for GPUs the index of one of their versions
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/lumina
ENV PATH=/opt/lumina/bin:$PATH PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY constraints.txt .
# first and alone, so that a change of the source does not fetch it anew; what it needs comes below
RUN pip install --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
COPY . .
RUN pip install --constraint constraints.txt '.[serve]' ./plugins/*

FROM python:${PYTHON}-slim
COPY --from=build /opt/lumina /opt/lumina
ENV PATH=/opt/lumina/bin:$PATH
RUN useradd --create-home lumina
USER lumina
WORKDIR /home/lumina
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=5)"]
# it wants a token in the environment variable LUMINA_SERVE_TOKEN
ENTRYPOINT ["lumina", "serve", "host=0.0.0.0"]
