# The app in a container: for CPUs, or with --build-arg TORCH_BACKEND=cu130 for NVIDIA GPUs.
ARG PYTHON=python:3.12-slim
FROM ${PYTHON}

# Which build of torch uv takes; cpu is spared the gigabytes of CUDA libraries.
ARG TORCH_BACKEND=cpu
COPY requirements.txt /app/
COPY requirements-lock.txt /app/
COPY requirements-lock-cu130.txt /app/
# By their hashes (deploy/lock.py makes the locks), but for a torch that is in no lock, which comes
# from torch's own index: the one for CPUs, whose needs are all locked, and those for other versions
# of CUDA. These bring CUDA's libraries along, which are in no lock either.
RUN cd /app \
    && pip install --no-cache-dir --no-deps --require-hashes -r requirements-lock.txt \
    && if [ -f requirements-lock-${TORCH_BACKEND}.txt ]; then pip install --no-cache-dir \
        --no-deps --require-hashes -r requirements-lock-${TORCH_BACKEND}.txt; fi \
    && if [ ${TORCH_BACKEND} = cpu ] || [ -f requirements-lock-${TORCH_BACKEND}.txt ]; then \
        alone=--no-deps; fi \
    && uv pip install --system --no-cache ${alone} --torch-backend ${TORCH_BACKEND} \
        -r requirements.txt

# Triton, which comes with torch for CUDA, builds what starts its kernels with a C compiler.
RUN if [ ${TORCH_BACKEND} != cpu ]; then apt-get update \
        && apt-get install --yes --no-install-recommends gcc libc6-dev \
        && rm -rf /var/lib/apt/lists/*; fi

# New volumes take their owner from these folders; Gradio keeps a certificate for share links in
# the first.
RUN useradd --create-home --uid 1000 chat \
    && install --directory --owner chat /app/.gradio /models /data
USER chat
WORKDIR /app
COPY app.py ./
COPY chat chat/
COPY prompts prompts/

ENV PYTHONUNBUFFERED=1 \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    HF_HOME=/models/huggingface \
    TRITON_CACHE_DIR=/models/triton \
    CHAT_CACHE_DIR=/models/fourbit-chat \
    CHAT_DATA_DIR=/data
VOLUME ["/models", "/data"]
EXPOSE 7860

# A first start may take half an hour to download its model before a check that fails counts.
HEALTHCHECK --start-period=30m --timeout=5s CMD ["python", "-c", "import http.client, os, sys; \
    port = os.environ.get('CHAT_SERVER_PORT') or os.environ['GRADIO_SERVER_PORT']; \
    app = http.client.HTTPConnection('localhost', int(port), timeout=4); \
    app.request('GET', '/health'); \
    sys.exit(app.getresponse().status != 200)"]

CMD ["python", "app.py"]
