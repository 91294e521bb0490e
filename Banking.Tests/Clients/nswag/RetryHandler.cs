/// <summary>Gives every POST a key, and sends a request again when its answer is lost or says "not now".</summary>
internal sealed class RetryHandler() : DelegatingHandler(new SocketsHttpHandler())
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (request.Method == HttpMethod.Post && !request.Headers.Contains("Idempotency-Key"))
        {
            request.Headers.Add("Idempotency-Key", $"{Guid.NewGuid()}");
        }

        for (var attempts = 5; ; attempts--)
        {
            var wait = TimeSpan.FromSeconds(1);
            try
            {
                var response = await base.SendAsync(request, cancellationToken);
                if ((int)response.StatusCode is not (429 or 503) || attempts == 1)
                {
                    return response;
                }

                wait = response.Headers.RetryAfter?.Delta ?? wait;
                response.Dispose();
            }
            catch (HttpRequestException) when (attempts > 1)
            {
            }

            await Task.Delay(wait, cancellationToken);
        }
    }
}
