//! Nothing of an item and no credential leaves the built binary but in its records: not in the log at `trace`, not in
//! metrics, health, the lease table or on standard output, though the services quote all of it back.

use std::fs::File;

use serde_json::json;

use crate::bridge::{OF_TABLE, Stage, TABLE, judged, puts};
use crate::process::{HTTP, Process, get};
use crate::rows::{LEASES, shard_row};
use crate::support::fault::{Fault, Which};

/// In items, in keys, in credentials; in Base64 the second begins with `UVVBR0dB`, the first with `WkVCUk`.
const VALUE: &str = "ZEBRA-in-an-item";
const KEY: &str = "QUAGGA-in-a-key";
const CARRIED: &str = "QUAGGA-that-is-carried";
const SECRET: &str = "OKAPI-in-a-secret";
const TOKEN: &str = "KUDU-in-a-token";

fn assert_clean(what: &str, text: &str) {
    for marker in ["ZEBRA", "QUAGGA", "OKAPI", "KUDU", "WkVCUk", "UVVBR0dB"] {
        if let Some(line) = text.lines().find(|line| line.contains(marker)) {
            panic!("{what} holds {marker}: {line}");
        }
    }
}

/// A refusal whose message quotes everything that the request held.
fn quoting(status: u16, code: &str) -> Fault {
    let quoted = format!(
        "1 validation error detected: Value '{KEY}' with {{\"text\":{{\"S\":\"{VALUE}\"}}}} at 'records.1.member.partitionKey' \
         failed to satisfy constraint: Member must be other than it is"
    );
    Fault::Reject { status, code: code.to_owned(), message: quoted }
}

/// What AWS says of a signature: the request's headers, word for word.
fn of_signature() -> Fault {
    let message = format!(
        "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this \
         request should have been\n'POST\n/\n\nx-amz-security-token:{TOKEN}\n' signed with {SECRET}"
    );
    Fault::Reject { status: 400, code: "InvalidSignatureException".to_owned(), message }
}

fn script(stage: &Stage) {
    let mut world = stage.fake.world();
    world.faults.once("PutRecords", Fault::fail_entries(Which::All, "InternalFailure"));
    world.faults.once("PutRecords", quoting(500, "InternalFailure"));
    world.faults.once("PutRecords", quoting(400, KEY));
    world.faults.once("PutRecords", of_signature());
    world.faults.once("GetRecords", of_signature());
    world.faults.once("UpdateItem", of_signature());
    world.faults.once("Query", of_signature());
    world.faults.always("PutRecords", |request| puts(request, KEY), quoting(400, "ValidationException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_items_nor_credentials_are_told() {
    let stage = Stage::with_shards(1);
    stage.fake.world().quirks.secret_access_key = Some(SECRET.to_owned());
    script(&stage);
    let put = |id: &str| {
        let item = json!({"id": {"S": id}, "line": {"N": "1"}, "text": {"S": VALUE}});
        stage.fake.world().put(TABLE, item).expect("a change");
    };
    put(CARRIED);
    let shard = stage.open_shard();
    let out = tempfile::NamedTempFile::new().expect("a temporary file");
    let front = format!("{HTTP}\n[log]\nlevel = \"trace\"\n[metrics]\nemf = true");
    let environment = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", TOKEN),
        ("AWS_REGION", "eu-central-1"),
    ];
    let stdout = File::create(out.path()).expect("it can be written");
    let text = stage.text(&front, OF_TABLE, "oversize = \"halt\"");
    let bridge = Process::run_into(&text, &environment, stdout.into());
    // Sent again after each of the others' refusals; then the one that is refused for good.
    stage.all_arrive().await;
    put(KEY);
    stage.fake.wait_until("the shard halted", |world| shard_row(world, &shard)["state"] == "halted").await;
    stage.fake.wait_until("every fault met", |world| world.faults.all_met()).await;
    let address = bridge.http_address();
    let (metrics, ready) = (get(address, "/metrics").1, get(address, "/readyz").1);
    bridge.signal("TERM");
    let (code, log) = bridge.end().await;
    assert_eq!(code, Some(0), "{log}");

    for (what, text) in [("the log", &log), ("/metrics", &metrics), ("/readyz", &ready)] {
        assert_clean(what, text);
    }
    assert_clean("standard output", &std::fs::read_to_string(out.path()).expect("it can be read"));
    let world = stage.fake.world();
    for (key, row) in &world.tables[LEASES].items {
        assert_clean("the lease table", &format!("{key:?} {}", json!(row)));
    }
    assert_eq!(judged(&world).missing.len(), 1, "one was carried");
    // What was left out is named so that an operator finds it: SHA-256 of the key.
    for text in [&log, &ready] {
        assert!(text.contains("begins with 035d59af") && text.contains("Member must be other"), "{text}");
    }
}
