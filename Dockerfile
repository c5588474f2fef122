# The sidecar as a static binary in an image with nothing else: no shell, no
# package manager, no C library. `make docker` builds it.

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/signet ./cmd/signet
# What the sidecar writes to: its data (journal, keys) and the admin socket.
RUN install -d -m 0700 /out/var/lib/signet /out/run/signet

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/signet /usr/bin/signet
# Not the agent's user: the pod's rules tell the two apart by it.
COPY --from=build --chown=65532:65532 /out/var/lib/signet /var/lib/signet
COPY --from=build --chown=65532:65532 /out/run/signet /run/signet
USER 65532:65532
VOLUME /var/lib/signet
# The proxy; metrics and health.
EXPOSE 3128 9464
ENTRYPOINT ["/usr/bin/signet"]
CMD ["run", "--config", "/etc/signet/signet.yaml"]
