<?php
// Reads one captured request a line and says for each whether the guide's PHP takes it.

declare(strict_types=1);

require $argv[1];

while (($line = fgets(STDIN)) !== false) {
    $request = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    try {
        $event = verify(base64_decode($request['body']), $request['headers'], $request['secret'], $request['now']);
        echo "event {$event['id']}\n";
    } catch (SignatureError $error) {
        echo "refused: {$error->getMessage()}\n";
    }
}
