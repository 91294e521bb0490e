using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Banking.Api;

/// <summary>Tells a retry from another request with its key.</summary>
internal static class RequestHash
{
    // A member that was left out stays left out, so that a later version with more members hashes an old request the same.
    private static readonly JsonSerializerOptions Json = new(ApiJson.Default.Options) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    /// <summary>The sha256 of the call and the request as the client meant it: amounts without trailing zeros, members and metadata in one order.</summary>
    public static byte[] Of<TRequest>(string call, TRequest request) =>
        SHA256.HashData([.. Encoding.UTF8.GetBytes(call + "\n"), .. JsonSerializer.SerializeToUtf8Bytes(request, Json.GetTypeInfo(typeof(TRequest)))]);
}
