# An image that runs farrier, with docker's command-line client for `docker run` harnesses. docs/installing.md shows how to
# start it.
FROM rust:1.95-slim-trixie AS build
WORKDIR /farrier
COPY . .
# As in .github/workflows/release.yml.
ENV RUSTFLAGS="-C force-unwind-tables=no"
RUN cargo build --release --locked --bin farrier

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates docker-cli \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /farrier/target/release/farrier /usr/local/bin/farrier
ENTRYPOINT ["farrier"]
CMD ["--help"]
