# syntax=docker/dockerfile:1
# Images of crew, for amd64 and arm64.
#
#   docker build --target crew .      the program and certificates, nothing else
#   docker build --target tools .     with git, bash, curl and jq, for crews with shell tools
#
# The release workflow replaces the stage `build` by programs that it has built:
# --build-context build=FOLDER, with FOLDER/linux/amd64/crew and so on.

FROM rust:1.95-alpine AS build
# hadolint ignore=DL3018
RUN apk add --no-cache musl-dev
WORKDIR /source
COPY . .
ARG TARGETPLATFORM
RUN cargo build --profile dist --locked && install -D target/dist/crew "/$TARGETPLATFORM/crew"

FROM alpine:3.22 AS base
# The folder below is the root of the image without programs: a report that cannot be written
# elsewhere is kept in its /tmp.
# hadolint ignore=DL3018
RUN apk add --no-cache ca-certificates && mkdir -p /scratch && mkdir -m 1777 /scratch/tmp

FROM scratch AS crew
ARG TARGETPLATFORM
COPY --from=base /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=base /scratch /
COPY --from=build /$TARGETPLATFORM/crew /usr/local/bin/crew
ENV PATH=/usr/local/bin HOME=/tmp SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /work
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/crew"]

FROM base AS tools
# hadolint ignore=DL3018
RUN apk add --no-cache bash curl git jq \
    # Mounted repositories mostly belong to another user, and git would refuse to read them.
    && git config --system --add safe.directory '*'
ENV HOME=/tmp
ARG TARGETPLATFORM
COPY --from=build /$TARGETPLATFORM/crew /usr/local/bin/crew
WORKDIR /work
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/crew"]
