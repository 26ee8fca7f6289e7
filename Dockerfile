# Fanfare in an image: docs/operations.md tells how to run it. What the RUN lines do is in scripts/image/, and
# scripts/image/test tries it without a container engine.

FROM debian:trixie-slim AS build
WORKDIR /src
COPY . .
RUN scripts/image/build /out

FROM debian:trixie-slim
COPY --from=build /out/ /usr/local/bin/
COPY scripts/image/prepare scripts/image/health /usr/local/lib/fanfare/
RUN /usr/local/lib/fanfare/prepare
ENV FANFARE__SERVER__DATA_DIR=/var/lib/fanfare
ENV FANFARE__HTTP__LISTEN=0.0.0.0:7070
USER fanfare
VOLUME /var/lib/fanfare
EXPOSE 7070
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m CMD ["/usr/local/lib/fanfare/health"]
ENTRYPOINT ["fanfare"]
CMD ["serve"]
