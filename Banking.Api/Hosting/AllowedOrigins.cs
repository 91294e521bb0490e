using Microsoft.AspNetCore.Cors.Infrastructure;

namespace Banking.Api;

/// <summary>Lets web pages of the origins in <see cref="ServiceOptions.AllowedOrigins"/> call the service. By default none may.</summary>
internal static class AllowedOrigins
{
    public static void AddAllowedOrigins(this IServiceCollection services)
    {
        services.AddCors();
        services.AddOptions<CorsOptions>().Configure<ServiceOptions>((cors, settings) => cors.AddDefaultPolicy(policy => policy
            .WithOrigins((settings.AllowedOrigins ?? "").Split([' ', ','], StringSplitOptions.RemoveEmptyEntries))
            .WithMethods("GET", "POST")
            .WithHeaders("Authorization", "Content-Type", Idempotency.Header, "traceparent", "tracestate")
            .WithExposedHeaders("Location", "Retry-After", "WWW-Authenticate", Idempotency.ReplayedHeader, Observability.TraceResponse)
            .SetPreflightMaxAge(TimeSpan.FromMinutes(10))));
    }

    public static void UseAllowedOrigins(this WebApplication app)
    {
        if (!string.IsNullOrEmpty(app.Configuration[$"Banking:{nameof(ServiceOptions.AllowedOrigins)}"]))
        {
            app.UseCors();
        }
    }
}
