# dhtd:latest on a machine with Docker alone: compiled in one stage, packed with nothing else in the other.
# Where there is a Rust toolchain but no registry, `cargo xtask image` makes the same image.

FROM rust:1.95 AS build
WORKDIR /src
COPY . .
# Static, for a final stage without a C library; for whatever architecture this runs on.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --locked --release --target "$target" --package dht-node --package dht-cli \
    && mkdir -p /image/usr/local/bin /image/data /image/etc/dhtd \
    && cp "target/$target/release/dhtd" "target/$target/release/dht" /image/usr/local/bin/ \
    && cp config/docker.toml /image/etc/dhtd/dhtd.toml

FROM scratch
COPY --from=build /image/usr /usr
COPY --from=build /image/etc /etc
# A named volume takes over the owner of the directory that it is mounted on.
COPY --from=build --chown=65532:65532 /image/data /data
ENV DHTD_CONFIG=/etc/dhtd/dhtd.toml
USER 65532:65532
VOLUME /data
EXPOSE 7160 7161
HEALTHCHECK --interval=2s --timeout=2s --start-period=2m --retries=3 CMD ["/usr/local/bin/dhtd", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/dhtd"]
