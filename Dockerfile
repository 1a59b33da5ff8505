# One image for every service of compose.yaml: the app, the MLflow server, the nodes of a Ray cluster, the notebook.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Packages first: they change rarely, and without an NVIDIA GPU at hand PyTorch's small build is tried.
COPY requirements*.txt ./
COPY tools/install.py tools/install.py
RUN python tools/install.py requirements.txt requirements-serve.txt

COPY . .
RUN useradd --uid 1000 --create-home mmrec && mkdir -p /data && chown -R 1000 /data /app/docs
USER 1000
ENV MMREC_HOME=/data
VOLUME /data
EXPOSE 8501
# Inside the container only; compose.yaml publishes the port on localhost alone, and says so by MMREC_PUBLISHED. Published wider, work needs the owner's token,
# which is printed, and other names than localhost are given by --name.
CMD ["python", "-m", "mmrec_core", "serve", "--host", "0.0.0.0", "--headless"]
