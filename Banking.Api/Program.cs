using Banking.Api;

using var signals = new StopSignals();
if (await Commands.RunAsync(args, signals.Token) is { } exitCode)
{
    return exitCode;
}

var builder = WebApplication.CreateSlimBuilder([.. args.SkipWhile(argument => argument == "serve")]);
builder.ListenByDefaultOn("http://localhost:8080");
builder.Services.ConfigureHttpJsonOptions(json => ApiJson.Configure(json.SerializerOptions));
builder.Services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true); // UseStrictRequests catches it and names the fields
builder.Services.AddExceptionHandler<ExceptionProblems>();
builder.Services.AddProblemDetails();
builder.Services.AddOpenApiDocument();
builder.Services.AddLimits();
builder.Services.AddAllowedOrigins();
builder.Services.AddBanking();
builder.AddCallers();
builder.AddObservability();

var app = builder.Build();

app.UseTraceResponse();
app.UseRequestLines();
app.UseNoStore();
app.UseHeadAsGet();
app.UseExceptionHandler();
app.UseStatusCodePages(context =>
    Problem.Of(context.HttpContext.Response.StatusCode, context.HttpContext.Request).ExecuteAsync(context.HttpContext));
app.UseRouting();
app.UseAllowedOrigins(); // before UseCallers: a browser's preflight carries no token
app.UseCallers();
app.UseLimits(); // between the two: it knows the callers by now, and counts those who are refused too
app.UseScopes();
app.UseStrictRequests();

var api = app.MapGroup("/api").WithStrictRequests().RequireAuthorization().WithLimits();
api.MapAccounts();
api.MapAccountManagement();
api.MapAccountEvents();
api.MapPostings();
api.MapReversals();
api.MapBatches();
api.MapHolds();
api.MapTransactions();
api.MapRequests();
api.MapHistory();
api.MapStatements();
api.MapAudit();
api.MapEvents();

app.MapHealth();
app.MapMetrics();
app.MapDocs();
return await app.ServeAsync(signals.Token);
