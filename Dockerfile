# The agent as one static binary in an empty image. Builds for the platform it is built on, or with
# buildx for linux/amd64 and linux/arm64: rustc is asked for its own target.
#
# With `--build-arg BINARY=prebuilt` it takes the binaries that `deploy/release` has put into dist/, and compiles nothing.

ARG BINARY=source

# The compiler of rust-toolchain.toml. The digest is that of the image for all platforms; Dependabot updates both.
FROM rust:1.95.0-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1 AS builder
# Puts the list of all crates into the binary.
RUN cargo install --locked cargo-auditable --version 0.7.7
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo auditable build --config /src/.cargo/static.toml --release --locked -p regprobe && \
    cp "target/$(rustc --print host-tuple)/release/regprobe" /regprobe

FROM scratch AS source
# For where the node's own bundle is not mounted.
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=builder /regprobe /regprobe

FROM scratch AS prebuilt
ARG TARGETARCH
COPY dist/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY dist/regprobe-*-linux-${TARGETARCH} /regprobe

FROM ${BINARY}
LABEL org.opencontainers.image.title="regprobe" \
      org.opencontainers.image.description="Checks from every node of a cluster whether it can pull images, and says why not" \
      org.opencontainers.image.source="https://github.com/regprobe/regprobe" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# `kubectl exec … -- regprobe check` finds it by name.
ENV PATH=/
USER 65532:65532
EXPOSE 9118
ENTRYPOINT ["/regprobe"]
CMD ["run", "--config.file=/etc/regprobe/config.yaml"]
