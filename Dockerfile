FROM mcr.microsoft.com/dotnet/sdk:10.0-noble AS build
WORKDIR /src
# What decides the packages comes first, so that a change of code doesn't restore them again.
COPY global.json Directory.Build.props Directory.Packages.props .editorconfig ./
COPY Banking.Data/Banking.Data.csproj Banking.Data/packages.lock.json Banking.Data/
COPY Banking.Api/Banking.Api.csproj Banking.Api/packages.lock.json Banking.Api/
RUN dotnet restore Banking.Api --locked-mode
COPY sql sql
COPY Banking.Data Banking.Data
COPY Banking.Api Banking.Api
RUN dotnet publish Banking.Api -c Release --no-restore -o /app -p:UseAppHost=false

# No shell, no package manager, not root.
FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble-chiseled
# The version of Directory.Build.props.
ARG VERSION=1.0.0-rc.1
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Core Banking" \
      org.opencontainers.image.description="A small transaction engine beside one PostgreSQL." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
WORKDIR /app
COPY --from=build /app .
USER $APP_UID
# The runtime's diagnostics port would be a file in /tmp: nothing is written, so that the file system may be read-only.
ENV DOTNET_EnableDiagnostics=0
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["dotnet", "Banking.Api.dll", "health"]
ENTRYPOINT ["dotnet", "Banking.Api.dll"]
CMD ["serve"]
