using System.Diagnostics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The service in Production beside a real OpenID Connect server over HTTPS: the one of <c>deploy/oidc</c>, which operators try identity with.</summary>
public sealed class OpenIdConnectTests(TestDatabase database)
{
    private const string Bearer = "Authentication__Schemes__Bearer__";

    private static readonly string[] Scopes = [.. AuthenticationTests.Calls.Select(call => call.Data.Item2).Distinct()];

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_client_may_do_what_its_token_says_and_the_log_names_it()
    {
        await using var issuer = await Issuer.StartAsync();
        await using var service = Trusting(issuer);
        await service.StartAsync();

        await ActAsAsync(service, issuer, "teller", Scopes);
        var account = await service.OpenAsync("100.00");
        (await service.DepositAsync(account, "10.50")).ShouldBeCreated();

        var reading = Scopes.Where(scope => scope.EndsWith(":read", StringComparison.Ordinal)).ToArray();
        await ActAsAsync(service, issuer, "auditor", reading);
        var refused = await service.WithdrawAsync(account, "10.50");
        refused.ShouldBeProblem(403, "insufficient_scope");
        refused.Headers.WwwAuthenticate.ToString().Should().Be("Bearer error=\"insufficient_scope\", scope=\"transactions:write\"");
        (await service.BalanceAsync(account)).Should().Be("110.50");
        foreach (var scope in Scopes.Except(reading))
        {
            (await issuer.AskAsync("auditor", scope))["error"].Should().Be("invalid_scope");
        }

        await using var book = new BookInspector(database.ConnectionString, service.Schema);
        (await book.ScalarAsync<string>("SELECT string_agg(client_id, ',') FROM account_log WHERE account_id = @account", new { account })).Should().Be("teller");
        (await book.ScalarAsync<string>("SELECT string_agg(client_id, ',') FROM transaction_log WHERE to_account_id = @account", new { account })).Should().Be("teller,teller");
        service.Warnings.Should().BeEmpty();
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Its_server_may_change_its_key_and_go_away()
    {
        await using var issuer = await Issuer.StartAsync();
        await using var service = Trusting(issuer);
        await service.StartAsync();
        var old = await issuer.TokenAsync("auditor", "audit:read");
        (await HeadAsync(service, old)).ShouldBeOk();

        await issuer.ChangeKeyAsync();

        var next = await issuer.TokenAsync("auditor", "audit:read");
        await TakenAsync(service, next);
        (await HeadAsync(service, old)).ShouldBeOk();

        await issuer.StopAsync();

        (await HeadAsync(service, old)).ShouldBeOk();
        (await HeadAsync(service, next)).ShouldBeOk();
        await using var newcomer = Trusting(issuer);
        await newcomer.StartAsync();
        (await HeadAsync(newcomer, next)).ShouldBeProblem(503, "authority_unavailable");

        await issuer.StartAgainAsync();

        await TakenAsync(newcomer, await issuer.TokenAsync("auditor", "audit:read"));
    }

    private ServiceProcess Trusting(Issuer issuer) => new(
        database.ConnectionString,
        $"book_{Guid.NewGuid():N}",
        ("Banking__AllowAnonymous", "false"),
        ($"{Bearer}Authority", issuer.Address),
        ($"{Bearer}ValidAudiences__0", "core-banking"),
        ("SSL_CERT_FILE", issuer.CertificateFile));

    private static async Task ActAsAsync(ServiceProcess service, Issuer issuer, string client, string[] scopes) =>
        service.Http.DefaultRequestHeaders.Authorization = new("Bearer", await issuer.TokenAsync(client, scopes));

    /// <summary>Returns when the token is taken: the service fetches a new key beside the requests.</summary>
    private static Task TakenAsync(ServiceProcess service, string token) =>
        Wait.UntilAsync(async () => (int)(await HeadAsync(service, token)).Status == 200);

    private static Task<Reply> HeadAsync(ServiceProcess service, string token) =>
        service.SendAsync(new(HttpMethod.Get, "/api/audit_head") { Headers = { Authorization = new("Bearer", token) } });

    /// <summary>The server of <c>deploy/oidc</c>, with a certificate of this test's own.</summary>
    private sealed class Issuer : IAsyncDisposable
    {
        private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory();
        private readonly X509Certificate2 certificate;
        private readonly HttpClient http;
        private Process? process;

        private Issuer()
        {
            using var key = RSA.Create(2048);
            var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
            var names = new SubjectAlternativeNameBuilder();
            names.AddDnsName("localhost");
            request.CertificateExtensions.Add(names.Build());
            certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddMinutes(-10), DateTimeOffset.UtcNow.AddHours(1));
            File.WriteAllText(CertificateFile, certificate.ExportCertificatePem());
            File.WriteAllText(KeyFile, key.ExportPkcs8PrivateKeyPem());
            var trust = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, CustomTrustStore = { certificate }, RevocationMode = X509RevocationMode.NoCheck };
            http = new(new SocketsHttpHandler { SslOptions = { CertificateChainPolicy = trust } });
        }

        public string Address { get; } = $"https://localhost:{Ports.Free()}";

        public string CertificateFile => Path.Combine(folder.FullName, "certificate.pem");

        private string KeyFile => Path.Combine(folder.FullName, "key.pem");

        public static async Task<Issuer> StartAsync()
        {
            Assert.SkipWhen(Run.Find("node") is null || Run.Find("npm") is null, "The OpenID Connect server needs node and npm on this machine.");
            var issuer = new Issuer();
            foreach (var file in new[] { ".npmrc", "package.json", "package-lock.json", "issuer.js" })
            {
                File.Copy(Path.Combine(Repository.Folder, "deploy", "oidc", file), Path.Combine(issuer.folder.FullName, file));
            }

            var installed = await Run.ToEndAsync(new("npm", ["ci", "--no-audit", "--no-fund"]) { WorkingDirectory = issuer.folder.FullName }, Run.Download);
            installed.ExitCode.Should().Be(0, "{0}", installed.Errors);
            await issuer.StartAgainAsync();
            return issuer;
        }

        public async Task StartAgainAsync()
        {
            process = Process.Start(new ProcessStartInfo("node", ["issuer.js"])
            {
                WorkingDirectory = folder.FullName,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                Environment = { ["ISSUER"] = Address, ["TLS_CERTIFICATE"] = CertificateFile, ["TLS_KEY"] = KeyFile },
            })!;
            process.BeginErrorReadLine();
            (await process.StandardOutput.ReadLineAsync()).Should().StartWith("Ready.");
        }

        /// <summary>A token with these scopes.</summary>
        public async Task<string> TokenAsync(string client, params string[] scopes)
        {
            var answer = await AskAsync(client, scopes);
            answer.Should().Contain("scope", string.Join(' ', scopes));
            return answer["access_token"];
        }

        /// <summary>Asks for a token, as a client does: what the server answers.</summary>
        public async Task<Dictionary<string, string>> AskAsync(string client, params string[] scopes)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"{Address}/token")
            {
                Headers = { Authorization = new("Basic", Convert.ToBase64String(Encoding.ASCII.GetBytes($"{client}:{client}-secret"))) },
                Content = new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = "client_credentials", ["scope"] = string.Join(' ', scopes) }),
            };
            using var response = await http.SendAsync(request);
            var answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
            return answer.EnumerateObject().ToDictionary(member => member.Name, member => member.Value.ToString());
        }

        public async Task ChangeKeyAsync()
        {
            var old = await KeysAsync();
            await Run.ToEndAsync(new("kill", ["-HUP", $"{process!.Id}"]));
            await Wait.UntilAsync(async () => await KeysAsync() != old);
        }

        public async Task StopAsync()
        {
            process!.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
            process = null;
        }

        public async ValueTask DisposeAsync()
        {
            if (process is not null)
            {
                await StopAsync();
            }

            http.Dispose();
            certificate.Dispose();
            folder.Delete(recursive: true);
        }

        private Task<string> KeysAsync() => http.GetStringAsync(new Uri($"{Address}/jwks"));
    }
}
