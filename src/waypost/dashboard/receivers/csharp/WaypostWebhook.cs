// Check a webhook from Waypost with nothing but .NET's own classes.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

/// <summary>The request is not to be trusted; the message says which part is wrong.</summary>
public sealed class SignatureException : Exception
{
    public SignatureException(string message) : base(message) { }
}

public static class WaypostWebhook
{
    private const long ToleranceSeconds = 300;

    /// <summary>Returns when the request is good, else throws SignatureException.</summary>
    /// <param name="body">The request's bytes exactly as they came, before any parsing.</param>
    /// <param name="headers">The request's headers, with a comparer that ignores case.</param>
    /// <param name="secret">The endpoint's secret, whsec_ and base64.</param>
    /// <param name="now">The current time.</param>
    public static void Verify(byte[] body, IDictionary<string, string> headers, string secret, DateTimeOffset now)
    {
        string id = Header(headers, "webhook-id");
        string sentAt = Header(headers, "webhook-timestamp");
        string signatures = Header(headers, "webhook-signature");

        long seconds;
        if (!long.TryParse(sentAt, NumberStyles.None, CultureInfo.InvariantCulture, out seconds) || seconds > 999999999999)
            throw new SignatureException("webhook-timestamp is not a number of seconds");
        if (Math.Abs(now.ToUnixTimeSeconds() - seconds) > ToleranceSeconds)
            throw new SignatureException("webhook-timestamp is more than five minutes away; is this clock right?");

        byte[] expected = Encoding.ASCII.GetBytes("v1," + Sign(secret, id + "." + sentAt + ".", body));
        // One signature for each live secret: while a secret is being rotated there are two.
        foreach (string signature in signatures.Split(' '))
            if (SameBytes(expected, Encoding.UTF8.GetBytes(signature)))
                return;
        throw new SignatureException("no signature fits: another secret, or a body that changed on its way");
    }

    private static string Sign(string secret, string prefix, byte[] body)
    {
        byte[] key = Convert.FromBase64String(secret.StartsWith("whsec_", StringComparison.Ordinal) ? secret.Substring(6) : secret);
        byte[] start = Encoding.UTF8.GetBytes(prefix);
        byte[] signed = new byte[start.Length + body.Length];
        Buffer.BlockCopy(start, 0, signed, 0, start.Length);
        Buffer.BlockCopy(body, 0, signed, start.Length, body.Length);
        using (var hmac = new HMACSHA256(key))
            return Convert.ToBase64String(hmac.ComputeHash(signed));
    }

    private static string Header(IDictionary<string, string> headers, string name)
    {
        string value;
        if (!headers.TryGetValue(name, out value) || string.IsNullOrEmpty(value))
            throw new SignatureException("the header " + name + " is missing");
        return value;
    }

    // On .NET Core 2.1 and newer CryptographicOperations.FixedTimeEquals does the same.
    private static bool SameBytes(byte[] left, byte[] right)
    {
        if (left.Length != right.Length)
            return false;
        int difference = 0;
        for (int i = 0; i < left.Length; i++)
            difference |= left[i] ^ right[i];
        return difference == 0;
    }
}
