# The image of podpass: `docker build -t registry.example.com/podpass:0.1.0 .`
# Versions are exact. Whoever builds may pin the base further, by the digest that their registry gives.
FROM node:26.10.0-trixie-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build

FROM node:26.10.0-trixie-slim
ENV NODE_ENV=production
WORKDIR /app
# package.json says that the executable is an ES module.
COPY --from=build /src/package.json ./
COPY --from=build /src/dist ./dist
USER 65532:65532
EXPOSE 8443 9090 8080 9091
ENTRYPOINT ["node", "--enable-source-maps", "/app/dist/podpass.js"]
