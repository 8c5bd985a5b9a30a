# The image of podpass: `docker build -t registry.example.com/podpass:0.1.0 .` It has the root file system that
# `npm run image` packs without a container engine (docs/install.md, "Image"); the shared libraries are this base's.
# Versions are exact. Whoever builds may pin the base further, by the digest that their registry gives.
FROM node:26.10.0-trixie AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run image -- --rootfs /rootfs

FROM scratch
LABEL org.opencontainers.image.title="podpass"
LABEL org.opencontainers.image.description="Give every Pod its own identity towards anything, and let anyone outside the cluster verify it."
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/bin
ENV NODE_ENV=production
ENV MALLOC_ARENA_MAX=1
WORKDIR /app
COPY --from=build /rootfs/ /
USER 65532:65532
EXPOSE 8080 8443 9090 9091
ENTRYPOINT ["/usr/local/bin/node", "--max-semi-space-size=2", "--no-maglev", "/app/dist/podpass.js"]
