# Ray Serve beside the app: docker build -t fourbit-chat-ray:0.1.0 -f deploy/ray.Dockerfile deploy
ARG APP=fourbit-chat:0.1.0
FROM ${APP}

USER root
# KubeRay's probes call wget.
RUN apt-get update && apt-get install -y --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt ray_app.py serve.yaml /app/deploy/
RUN uv pip install --system --no-cache --torch-backend cpu -r /app/deploy/requirements.txt
USER chat
