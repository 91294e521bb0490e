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
RUN dotnet publish Banking.Api -c Release --no-restore -o /app

# No shell, no package manager, not root.
FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble-chiseled
WORKDIR /app
COPY --from=build /app .
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["dotnet", "Banking.Api.dll", "health"]
ENTRYPOINT ["dotnet", "Banking.Api.dll"]
