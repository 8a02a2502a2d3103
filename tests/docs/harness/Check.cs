// Reads requests and says for each whether the guide's C# takes it. One request is: secret, now, body in base64, the
// number of headers, then a name and a value for each of them; each on a line.
using System;
using System.Collections.Generic;
using System.Text;
using System.Text.RegularExpressions;

public static class Check
{
    public static void Main()
    {
        string secret;
        while ((secret = Console.ReadLine()) != null)
        {
            DateTimeOffset now = DateTimeOffset.FromUnixTimeSeconds(long.Parse(Console.ReadLine()));
            byte[] body = Convert.FromBase64String(Console.ReadLine());
            var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            for (int left = int.Parse(Console.ReadLine()); left > 0; left--)
            {
                string name = Console.ReadLine();
                headers[name] = Console.ReadLine();
            }
            try
            {
                WaypostWebhook.Verify(body, headers, secret, now);
                Console.WriteLine("event " + Regex.Match(Encoding.UTF8.GetString(body), "\"id\": ?\"([^\"]*)\"").Groups[1].Value);
            }
            catch (SignatureException error)
            {
                Console.WriteLine("refused: " + error.Message);
            }
        }
    }
}
