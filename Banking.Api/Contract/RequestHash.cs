using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Banking.Api;

/// <summary>The hash that distinguishes a retry from another request with the same key.</summary>
internal static class RequestHash
{
    // Members that were left out are not hashed. So a later version with more members computes the same hash for an old request.
    private static readonly JsonSerializerOptions Json = new(ApiJson.Default.Options) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    /// <summary>The SHA-256 of the call and its request. Amounts lose trailing zeros, and members have a fixed order, so that equal requests have equal hashes.</summary>
    public static byte[] Of<TRequest>(string call, TRequest request) =>
        SHA256.HashData([.. Encoding.UTF8.GetBytes(call + "\n"), .. JsonSerializer.SerializeToUtf8Bytes(request, Json.GetTypeInfo(typeof(TRequest)))]);
}
