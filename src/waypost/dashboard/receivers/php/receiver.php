<?php
// A small receiver: each event takes effect exactly once, in a database of its own.
//
//     WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:9000 receiver.php

declare(strict_types=1);

require __DIR__ . '/verify.php';

try {
    $event = verify(file_get_contents('php://input'), getallheaders(), getenv('WEBHOOK_SECRET'));
} catch (SignatureError $error) {
    http_response_code(401);
    exit($error->getMessage());
}

$database = new PDO('sqlite:orders.db');
$database->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$database->exec('CREATE TABLE IF NOT EXISTS handled (event_id TEXT PRIMARY KEY)');
$database->exec(
    'CREATE TABLE IF NOT EXISTS orders (reference TEXT PRIMARY KEY, status TEXT NOT NULL, sequence INTEGER NOT NULL)'
);

// The mark and the effect are one transaction: after a crash both are there, or neither.
$database->beginTransaction();
$mark = $database->prepare('INSERT OR IGNORE INTO handled (event_id) VALUES (?)');
$mark->execute([$event['id']]);
if ($mark->rowCount() === 1 && !$event['test']) {
    // An event that was given up may arrive after its successors: the newer state stays.
    $database->prepare(
        'INSERT INTO orders (reference, status, sequence) VALUES (?, ?, ?) ON CONFLICT (reference) DO UPDATE
         SET status = excluded.status, sequence = excluded.sequence WHERE excluded.sequence > orders.sequence'
    )->execute([$event['reference'], $event['data']['shipment']['status'], $event['sequence']]);
}
$database->commit();
http_response_code(204);
