# syntax=docker/dockerfile:1
# The binary and the C library that it needs, nothing else: no shell, no package manager.

FROM node:22-bookworm-slim AS build
WORKDIR /src
RUN npm install --global bun@1.4.5
COPY package.json bun.lock ./
RUN bun install --frozen-lockfile
COPY . .
ARG COMMIT=""
RUN bun src/release/compile.ts --commit "$COMMIT" --outfile /image/usr/local/bin/ayder
# What the binary links to, and the user that it runs as.
RUN set -eu; \
    ldd /image/usr/local/bin/ayder | grep -o '/[^ ]*' | while read -r library; do \
      mkdir -p "/image$(dirname "$library")"; cp -L "$library" "/image$library"; \
    done; \
    mkdir -p /image/etc /image/tmp /image/data; \
    echo 'ayder:x:1109:1109::/data:/sbin/nologin' > /image/etc/passwd; \
    echo 'ayder:x:1109:' > /image/etc/group; \
    echo 'hosts: files dns' > /image/etc/nsswitch.conf; \
    chmod 1777 /image/tmp; \
    chmod 700 /image/data; \
    chown 1109:1109 /image/data

FROM scratch
LABEL org.opencontainers.image.title="Ayder" \
      org.opencontainers.image.description="HTTP-native durable event log" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image/ /
ENV RF_DATA_DIR=/data BUN_CONFIG_MAX_HTTP_REQUESTS=4096
USER 1109:1109
VOLUME /data
EXPOSE 1109
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/usr/local/bin/ayder", "health"]
ENTRYPOINT ["/usr/local/bin/ayder"]
CMD ["serve"]
