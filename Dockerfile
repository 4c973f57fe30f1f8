# The studio for a host with or without an NVIDIA card. Build: docker build -t transfer-zoo .
# With a password, what it keeps in a volume, and with a card if there is one:
#   docker run --init -p 7860:7860 -v zoo:/data -e STUDIO_AUTH=name:secret [--gpus all] transfer-zoo
# TORCH_INDEX, an index of torch's CPU builds, makes an image some 5 GB smaller, for hosts without a card.
FROM python:3.11-slim

ARG TORCH_INDEX=""
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STUDIO_HOME=/data

RUN useradd --create-home --uid 1000 studio && install --directory --owner=studio /data
WORKDIR /srv/studio

COPY requirements.txt .
# Which versions are taken, requirements.txt says right after.
# hadolint ignore=DL3013
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir --index-url "$TORCH_INDEX" torch torchvision; fi \
    && pip install --no-cache-dir -r requirements.txt
COPY app.py LICENSE README.md ./
COPY zoo zoo
COPY trainer trainer

USER 1000
VOLUME /data
EXPOSE 7860
# What ends the page in a shell ends it here. A run ends with the container and can be resumed in the next.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/', timeout=5).close()"]
CMD ["python", "app.py", "--host", "0.0.0.0"]
