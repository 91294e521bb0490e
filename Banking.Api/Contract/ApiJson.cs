using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Banking.Api;

/// <summary>Reads and writes bodies strictly and in snake_case, with code that is generated at build time.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CreateAccountRequest))]
[JsonSerializable(typeof(ChangeAccountRequest))]
[JsonSerializable(typeof(FreezeAccountRequest))]
[JsonSerializable(typeof(UnfreezeAccountRequest))]
[JsonSerializable(typeof(CloseAccountRequest))]
[JsonSerializable(typeof(CashRequest))]
[JsonSerializable(typeof(TransferRequest))]
[JsonSerializable(typeof(ReverseTransactionRequest))]
[JsonSerializable(typeof(BatchRequest))]
[JsonSerializable(typeof(PlaceHoldRequest))]
[JsonSerializable(typeof(CaptureHoldRequest))]
[JsonSerializable(typeof(ReleaseHoldRequest))]
[JsonSerializable(typeof(AccountResponse))]
[JsonSerializable(typeof(CreateAccountResponse))]
[JsonSerializable(typeof(AccountListResponse))]
[JsonSerializable(typeof(AccountEventsResponse))]
[JsonSerializable(typeof(TransactionResponse))]
[JsonSerializable(typeof(OneTransactionResponse))]
[JsonSerializable(typeof(BatchResponse))]
[JsonSerializable(typeof(HoldResponse))]
[JsonSerializable(typeof(HoldListResponse))]
[JsonSerializable(typeof(RequestResponse))]
[JsonSerializable(typeof(HistoryResponse))]
[JsonSerializable(typeof(BalanceAtResponse))]
[JsonSerializable(typeof(StatementResponse))]
[JsonSerializable(typeof(AuditHeadResponse))]
[JsonSerializable(typeof(IReadOnlyList<CloudEvent>))]
[JsonSerializable(typeof(HealthResponse))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(Data.CheckResult))]
internal sealed partial class ApiJson : JsonSerializerContext
{
    public static void Configure(JsonSerializerOptions options)
    {
        options.TypeInfoResolverChain.Insert(0, Default);
        options.Converters.Add(new TimeConverter());
        options.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower;
        options.PropertyNameCaseInsensitive = false;
        options.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        options.AllowDuplicateProperties = false;
        options.NumberHandling = JsonNumberHandling.Strict;
        options.Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping; // answers are only ever JSON, so text needs no HTML escapes
        options.MaxDepth = 16; // bodies need 4, but the description of a batch's answer, which is made with these options, needs more than 8
    }
}
