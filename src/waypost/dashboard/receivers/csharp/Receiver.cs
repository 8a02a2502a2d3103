// A small receiver on ASP.NET Core (.NET 8): one file beside WaypostWebhook.cs in a `dotnet new web` project.
//
//     WEBHOOK_SECRET=whsec_… dotnet run --urls http://127.0.0.1:9000
using System.Text.Json;

var app = WebApplication.CreateBuilder(args).Build();
string secret = Environment.GetEnvironmentVariable("WEBHOOK_SECRET")!;

app.MapPost("/", async (HttpRequest request) =>
{
    using var buffer = new MemoryStream();
    await request.Body.CopyToAsync(buffer);
    byte[] body = buffer.ToArray();
    var headers = request.Headers.ToDictionary(
        header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase);
    try
    {
        WaypostWebhook.Verify(body, headers, secret, DateTimeOffset.UtcNow);
    }
    catch (SignatureException error)
    {
        return Results.Text(error.Message, statusCode: 401);
    }
    using JsonDocument document = JsonDocument.Parse(body);
    JsonElement data = document.RootElement;
    // In your program: insert data["id"] into a table with a unique key, and do the effect, in one transaction.
    Console.WriteLine($"{data.GetProperty("sequence")}. {data.GetProperty("reference")}: {data.GetProperty("type")}");
    return Results.NoContent();
});

app.Run();
