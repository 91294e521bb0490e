using System.Collections.Concurrent;
using FluentAssertions;
using Microsoft.Playwright;

namespace Banking.Tests;

/// <summary>
/// The API page as people use it, in this machine's Chromium. With BANKING_PICTURES=1 the tests also take the pictures of <c>docs/images</c>.
/// </summary>
public sealed class DocsPageTests(TestDatabase database)
{
    [Fact]
    public async Task The_page_shows_every_call_and_asks_no_other_server_for_anything()
    {
        await using var bank = new BankingApp(database);
        await using var docs = await DocsPage.OpenAsync(bank, "#tag/postings/POST/api/deposit");

        await docs.Page.GetByRole(AriaRole.Link, new() { Name = "Pay money in" }).WaitForAsync();
        var closed = docs.Page.GetByRole(AriaRole.Button, new() { NameRegex = new("^Open Group - (?!Models)") });
        while (await closed.CountAsync() > 0)
        {
            await closed.First.ClickAsync();
        }

        foreach (var path in (await bank.GetAsync("/openapi/v1.json")).Body.GetProperty("paths").EnumerateObject())
        {
            foreach (var call in path.Value.EnumerateObject())
            {
                var link = docs.Page.Locator($"a[href$='/{call.Name.ToUpperInvariant()}{path.Name}']", new() { HasText = call.Value.GetProperty("summary").GetString() });
                (await link.CountAsync()).Should().Be(1, "{0} is in the page's list", path.Name);
            }
        }

        await docs.TakePictureAsync("docs-page.png");
        docs.Requests.Should().NotBeEmpty().And.OnlyContain(url => url.StartsWith(DocsPage.Origin));
    }

    [Fact]
    public async Task A_deposit_sent_from_the_page_is_posted_and_answered_with_201()
    {
        await using var bank = new BankingApp(database);
        await using var docs = await DocsPage.OpenAsync(bank, "#tag/postings/POST/api/deposit");
        var account = await bank.OpenAsync("100.00");

        await docs.OpenClientAsync("deposit");
        await docs.SendAsync();

        (await docs.AnswerAsync("201 Created")).Should().Contain("\"to_balance_after\": \"110.50\"");
        (await bank.BalanceAsync(account)).Should().Be("110.50");
        await docs.TakePictureAsync("docs-call.png");
        docs.Requests.Should().Contain($"{DocsPage.Origin}api/deposit").And.OnlyContain(url => url.StartsWith(DocsPage.Origin));
    }

    [Fact]
    public async Task A_token_typed_into_the_page_is_sent_with_its_calls()
    {
        await using var guarded = new GuardedBank(database);
        await using var docs = await DocsPage.OpenAsync(guarded.App, "#tag/accounts/POST/api/create_account");

        await docs.OpenClientAsync("create_account");
        await docs.SendAsync();
        (await docs.AnswerAsync("401 Unauthorized")).Should().Contain("\"code\": \"unauthorized\"");

        await docs.Client.GetByLabel("Bearer Token").FillAsync(guarded.TokenOf("teller", "accounts:write"));
        await docs.SendAsync();

        (await docs.AnswerAsync("201 Created")).Should().Contain("\"account_id\": 1000");
        (await guarded.App.Book.OpenedAsync()).Should().ContainSingle().Which.ClientId.Should().Be("teller");
    }

    /// <summary>The page in a browser that knows of no server but the service.</summary>
    private sealed class DocsPage : IAsyncDisposable
    {
        /// <summary>Where readers of the README open it. The browser finds the service's real port behind it.</summary>
        public const string Origin = "http://localhost:8080/";

        private readonly IPlaywright playwright;
        private readonly IBrowser browser;

        private DocsPage(IPlaywright playwright, IBrowser browser, IPage page)
        {
            (this.playwright, this.browser, Page) = (playwright, browser, page);
            page.Request += (_, request) => Requests.Enqueue(request.Url);
        }

        public IPage Page { get; }

        /// <summary>The addresses that the page has asked for.</summary>
        public ConcurrentQueue<string> Requests { get; } = [];

        /// <summary>The dialog that sends calls.</summary>
        public ILocator Client => Page.GetByRole(AriaRole.Dialog, new() { Name = "API Client" });

        private ILocator Answer => Client.GetByRole(AriaRole.Region, new() { Name = "Response" });

        public static async Task<DocsPage> OpenAsync(BankingClient bank, string part)
        {
            var chromium = Run.Find("chromium", "google-chrome");
            Assert.SkipWhen(chromium is null, "The page is opened in Chromium or Google Chrome, and this machine has none.");
            var playwright = await Playwright.CreateAsync();
            var browser = await playwright.Chromium.LaunchAsync(new()
            {
                ExecutablePath = chromium,
                Args = [$"--host-resolver-rules=MAP localhost:8080 127.0.0.1:{bank.Http.BaseAddress!.Port}, MAP * ~NOTFOUND"],
            });
            var docs = new DocsPage(playwright, browser, await browser.NewPageAsync(new() { ViewportSize = new() { Width = 1280, Height = 800 } }));
            await docs.Page.GotoAsync($"{Origin}scalar{part}");
            return docs;
        }

        public Task OpenClientAsync(string call) =>
            Page.GetByRole(AriaRole.Button, new() { Name = $"Test Request (post /api/{call})" }).ClickAsync();

        public Task SendAsync() => Client.GetByRole(AriaRole.Button, new() { Name = "Send post request" }).ClickAsync();

        /// <summary>The answer's text, when it has come with this status.</summary>
        public async Task<string> AnswerAsync(string status)
        {
            await Answer.GetByText(status).WaitForAsync();
            return await Answer.InnerTextAsync();
        }

        /// <summary>Takes a picture where the environment asks for pictures.</summary>
        public async Task TakePictureAsync(string file)
        {
            if (Environment.GetEnvironmentVariable("BANKING_PICTURES") == "1")
            {
                await Page.Mouse.MoveAsync(640, 40); // over nothing, so that nothing is highlighted
                await Page.ScreenshotAsync(new()
                {
                    Path = Path.Combine(Repository.Folder, "docs", "images", file),
                    Style = "[style*='translate3d'] { visibility: hidden }", // the bar that runs while a call is sent
                });
            }
        }

        public async ValueTask DisposeAsync()
        {
            await browser.DisposeAsync();
            playwright.Dispose();
        }
    }
}
