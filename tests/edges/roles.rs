//! Another account, another Region: each end with a role, an external id and a Region of its own, and an STS whose
//! sessions end.

use std::time::Duration;

use serde_json::Value;

use crate::bridge::{OF_TABLE, Stage};
use crate::process::{HTTP, Process, get, output_of, output_with};
use crate::support::answer::Service;
use crate::support::fault::{Fault, Gate};
use crate::support::log::{Outcome, Request};
use crate::support::world::World;

/// What one part of the configuration is reached with.
struct End {
    section: &'static str,
    role: &'static str,
    external_id: &'static str,
    region: &'static str,
}

const LEASES: End = End {
    section: "[lease_table]",
    role: "arn:aws:iam::111111111111:role/bridge-leases",
    external_id: "lease+table",
    region: "eu-west-1",
};
const SOURCE: End = End {
    section: "[pipeline.source]",
    role: "arn:aws:iam::222222222222:role/read/bridge-source",
    external_id: "source:1",
    region: "us-east-1",
};
const SINK: End = End {
    section: "[pipeline.sink]",
    role: "arn:aws:iam::333333333333:role/bridge-sink",
    external_id: "sink=1",
    region: "ap-southeast-2",
};
const ENDS: [&End; 3] = [&LEASES, &SOURCE, &SINK];

/// A stage whose roles' sessions last so long.
fn stage(lasts_s: u64) -> Stage {
    let stage = Stage::with_shards(2);
    for end in ENDS {
        stage.fake.world().create_role(end.role, Some(end.external_id), lasts_s);
    }
    stage
}

/// The stage's configuration, with each end's role, external id and Region.
fn text(stage: &Stage) -> String {
    let mut text = stage.text(HTTP, OF_TABLE, "");
    for End { section, role, external_id, region } in ENDS {
        let (before, after) = text.split_once(section).expect("the section is there");
        let after = after.replacen("region = \"eu-central-1\"", &format!("region = \"{region}\""), 1);
        text = format!("{before}{section}\nrole_arn = \"{role}\"\nexternal_id = \"{external_id}\"{after}");
    }
    text
}

fn environment(endpoint: &str) -> [(&str, &str); 4] {
    [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_STS", endpoint),
        ("AWS_REGION", "eu-central-1"),
    ]
}

fn run(stage: &Stage) -> Process {
    Process::run_with(&text(stage), &environment(&stage.fake.endpoint()))
}

/// The end that a request goes to.
fn end_of(request: &Request) -> &'static End {
    let of_leases =
        request.input["TableName"] == crate::rows::LEASES || request.input["TransactItems"].is_array();
    match request.service {
        Service::Kinesis => &SINK,
        Service::DynamoDb if of_leases => &LEASES,
        _ => &SOURCE,
    }
}

/// Each request was signed with a session of its end's role, for its end's Region; STS was asked in that Region with the
/// process' own credentials and the external id.
fn assert_signed(world: &World) {
    for request in world.log.all() {
        if request.service == Service::Sts {
            let end = ENDS.into_iter().find(|end| request.input["RoleArn"] == end.role).expect("a role");
            assert_eq!((&*request.caller, &*request.region), ("test", end.region), "{request:?}");
            assert_eq!(request.input["ExternalId"], end.external_id);
            assert_eq!(request.input["RoleSessionName"], "ddb-kinesis-bridge");
            continue;
        }
        let end = end_of(request);
        let session = world.sts.sessions.get(&request.caller);
        assert_eq!(session.map(|session| &*session.role_arn), Some(end.role), "{request:?}");
        assert_eq!(request.region, end.region, "{request:?}");
    }
    for end in ENDS {
        assert!(world.log.all().iter().any(|request| request.region == end.region), "{}", end.section);
    }
}

/// No request was refused for its signature: none was signed with a session that had ended.
fn assert_none_refused(world: &World) {
    let refused = |request: &&Request| {
        let code = match &request.outcome {
            Some(Outcome::Error { code, .. }) => code.as_str(),
            _ => "",
        };
        request.service != Service::Sts
            && ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"]
                .contains(&code)
    };
    let refused: Vec<&Request> = world.log.all().iter().filter(refused).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

fn granted(world: &World, count: usize) -> bool {
    ENDS.iter().all(|end| world.sts.granted(end.role) >= count)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_has_its_own_session_which_is_renewed_before_it_ends() {
    let stage = stage(12);
    let process = run(&stage);
    for sessions in 1..=3 {
        stage.fake.wait_until("a session more for each role", |world| granted(world, sessions)).await;
        stage.write(100, 11);
        stage.all_arrive().await;
    }
    let log = process.ends_cleanly().await;
    // A slow machine gives reason for other warnings.
    let of_sessions =
        |line: &&str| line.contains("WARN") && (line.contains("session") || line.contains("Credentials"));
    assert_eq!(log.lines().filter(of_sessions).collect::<Vec<_>>(), [""; 0], "{log}");
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert_signed(&world);
    assert_none_refused(&world);
    let most = ENDS.iter().map(|end| world.sts.granted(end.role)).max();
    assert!(most <= Some(5), "{most:?} sessions of one role in a run of three");
}

/// The counters of calls that failed for want of a session, and of STS' own failures.
fn failures(process: &Process) -> (Vec<String>, Vec<String>) {
    let metrics = get(process.http_address(), "/metrics").1;
    let errors =
        metrics.lines().filter(|line| line.contains("api_errors_total{") && line.contains("Credentials"));
    errors.map(str::to_owned).partition(|line| !line.contains("api=\"AssumeRole\""))
}

/// Waits until calls were not sent for want of a session.
async fn calls_fail(process: &Process) {
    let looking = async {
        while !failures(process).0.iter().any(|line| line.contains("Credentials")) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looking).await.expect("calls fail without a session");
}

/// STS throttles, fails, closes connections and hangs; while the sessions live nobody notices, when they have ended all
/// waits, and goes on when STS is back.
#[tokio::test(flavor = "multi_thread")]
async fn an_sts_that_fails_is_asked_again_and_sessions_are_used_to_their_end() {
    let stage = stage(24);
    let process = run(&stage);
    stage.write(20, 5);
    stage.all_arrive().await;
    let (rules, ends_s) = {
        let mut world = stage.fake.world();
        let weather = [Fault::Throttle, Fault::reject(503, "ServiceUnavailable"), Fault::DropConnection];
        let rules: Vec<usize> = (0..)
            .zip(weather)
            .map(|(nth, fault)| {
                world.faults.always("AssumeRole", move |request| request.arrival % 3 == nth, fault)
            })
            .collect();
        (rules, world.sts.sessions.values().map(|session| session.ends_s).min().expect("sessions"))
    };
    let has_ended = |world: &World| world.now_ms() / 1_000 + 3 >= ends_s;
    let gate = Gate::shut();
    let mut hangs = None;
    while !has_ended(&stage.fake.world()) {
        stage.write(1, 5);
        hangs = hangs.or_else(|| {
            let mut world = stage.fake.world();
            let is_near = world.now_ms() / 1_000 + 6 >= ends_s;
            // From here on it hangs: the end comes while a question is under way.
            is_near.then(|| {
                rules.iter().for_each(|rule| world.faults.lift(*rule));
                world.faults.always("AssumeRole", |_| true, Fault::Hold(gate.clone()))
            })
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (calls, _) = failures(&process);
        // Only what was seen before the end says something about the time before it.
        if !has_ended(&stage.fake.world()) {
            assert!(calls.is_empty(), "the sessions live, and calls failed: {calls:?}");
        }
    }
    stage.write(20, 5);
    for end in ENDS {
        process.says(&format!("\"identity\":\"{}\",\"error\"", end.role));
    }
    calls_fail(&process).await;
    assert!(!failures(&process).1.is_empty(), "STS' own failures are counted");
    gate.reached_by(ENDS.len()).await;
    stage.fake.world().faults.lift(hangs.expect("the loop ended behind it"));
    gate.open();
    stage.all_arrive().await;
    process.says("the session is renewed after all");
    let log = process.ends_cleanly().await;
    for end in ENDS {
        let said =
            log.lines().filter(|line| line.contains("is not renewed") && line.contains(end.role)).count();
        assert_eq!(said, 1, "{}: {log}", end.role);
    }
    stage.judge().assert_complete_and_ordered();
    let world = stage.fake.world();
    assert!(world.faults.all_met());
    assert_signed(&world);
    assert_none_refused(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sts_that_fails_at_the_start_is_asked_again() {
    let stage = stage(3_600);
    {
        let mut world = stage.fake.world();
        for fault in [Fault::Throttle, Fault::internal(), Fault::reject(503, ""), Fault::DropConnection] {
            for _ in 0..3 {
                world.faults.once("AssumeRole", fault.clone());
            }
        }
    }
    let process = run(&stage);
    stage.write(20, 5);
    stage.all_arrive().await;
    process.ends_cleanly().await;
    let world = stage.fake.world();
    assert!(world.faults.all_met());
    for end in ENDS {
        assert_eq!(
            world.sts.granted(end.role),
            1,
            "{}: one session serves all clients of a role",
            end.section
        );
    }
    drop(world);
    stage.judge().assert_exactly_once();
}

/// At the start a refusal ends it, with the section, the role and what to do; `check` says the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_does_not_trust_us_is_named_with_its_section_and_the_remedy() {
    for (end, section) in [
        (&LEASES, "[lease_table]"),
        (&SOURCE, "pipeline `orders`, source"),
        (&SINK, "pipeline `orders`, sink"),
    ] {
        let stage = stage(3_600);
        stage.fake.world().create_role(end.role, Some("another id"), 3_600);
        let (code, log) = run(&stage).end().await;
        assert_eq!(code, Some(1), "{log}");
        let line = log.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{log}"));
        for part in [section, end.role, "access denied", "sts:AssumeRole", "trust policy", "`external_id`"] {
            assert!(line.contains(part), "{part:?} is not in: {line}");
        }
        assert!(!log.contains(end.external_id), "an external id may be confidential: {log}");
        assert_eq!(stage.fake.world().log.count("CreateTable"), 0, "nothing is written");

        let endpoint = stage.fake.endpoint();
        let (code, stdout, _) = output_with(&text(&stage), &["check"], &environment(&endpoint)).await;
        assert_eq!(code, Some(1), "{stdout}");
        let failed: Vec<&str> = stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
        assert_eq!(failed.len(), 1, "{stdout}");
        for part in [section, end.role, "trust policy"] {
            assert!(failed[0].contains(part), "{part:?} is not in: {}", failed[0]);
        }
        stage.fake.world().create_role(end.role, Some(end.external_id), 3_600);
        let (code, stdout, _) = output_with(&text(&stage), &["check"], &environment(&endpoint)).await;
        assert_eq!(code, Some(0), "{stdout}");
        assert_signed(&stage.fake.world());
    }
}

/// A session's key that leaks into no log: what STS grants is a secret.
#[tokio::test(flavor = "multi_thread")]
async fn what_sts_grants_is_not_told() {
    let stage = stage(3_600);
    let text = text(&stage).replace(HTTP, &format!("{HTTP}\n[log]\nlevel = \"trace\""));
    let process = Process::run_with(&text, &environment(&stage.fake.endpoint()));
    stage.write(20, 5);
    stage.all_arrive().await;
    let log = process.ends_cleanly().await;
    let world = stage.fake.world();
    for session in world.sts.sessions.values() {
        for secret in [&session.secret, &session.token] {
            assert!(!log.contains(secret.as_str()), "{secret} is in the log");
        }
    }
    for end in ENDS {
        assert!(!log.contains(end.external_id), "{} is in the log", end.external_id);
    }
    let told: Vec<&Value> = world.log.all().iter().map(|request| &request.input["ExternalId"]).collect();
    assert!(told.iter().any(|id| id.is_string()), "external ids were sent");
}

/// The first fenced block of this language under the README's heading.
fn of_readme(heading: &str, language: &str) -> String {
    let section =
        include_str!("../../README.md").split(&format!("\n### {heading}\n")).nth(1).expect("the heading");
    let section = section.split("\n### ").next().unwrap_or_default();
    let block = section.split(&format!("\n```{language}\n")).nth(1).expect("a block");
    block.split("\n```").next().unwrap_or_default().to_owned()
}

/// README's configuration, its trust policy and what it says of `policy`.
#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_for_another_account_and_region() {
    const HEADING: &str = "Another account, another Region";
    let toml = of_readme(HEADING, "toml");
    let trust: Value = serde_json::from_str(&of_readme(HEADING, "json")).expect("the trust policy is JSON");
    let trust = &trust["Statement"][0];
    assert_eq!(trust["Action"], "sts:AssumeRole");
    let external_id = trust["Condition"]["StringEquals"]["sts:ExternalId"].as_str().expect("an external id");

    let (code, stdout, stderr) = output_of(&toml, &["policy", "--account", "111111111111"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let policies: Value = serde_json::from_str(&stdout).expect("policies");
    let identities: Vec<&String> = policies.as_object().expect("by identity").keys().collect();
    assert_eq!(identities.len(), 3, "{identities:?}");
    let roles: Vec<&str> =
        identities.iter().map(|name| name.as_str()).filter(|name| name.starts_with("arn:")).collect();
    assert!(policies["process"].to_string().contains("sts:AssumeRole"), "{policies}");
    for (role, action) in roles.iter().zip(["dynamodb:GetRecords", "kinesis:PutRecords"]) {
        assert!(policies["process"].to_string().contains(role), "{policies}");
        assert!(policies[role].to_string().contains(action), "{policies}");
    }

    let stage = Stage::with_shards(1);
    for role in &roles {
        stage.fake.world().create_role(role, Some(external_id), 3_600);
    }
    let endpoint = stage.fake.endpoint();
    let environment =
        [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_ENDPOINT_URL", &*endpoint)];
    let (code, stdout, _) = output_with(&toml, &["check"], &environment).await;
    assert_eq!(code, Some(0), "{stdout}");
    // No port that another process may have.
    let process = Process::run_with(&format!("[http]\nlisten = \"\"\n{toml}"), &environment);
    stage.write(30, 7);
    stage.all_arrive().await;
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    for (operation, role, region) in [
        ("GetRecords", Some(roles[0]), "eu-central-1"),
        ("DescribeStream", Some(roles[0]), "eu-central-1"),
        ("PutRecords", Some(roles[1]), "us-east-1"),
        ("CreateTable", None, "eu-central-1"),
    ] {
        for request in world.log.of(operation) {
            let session = world.sts.sessions.get(&request.caller);
            assert_eq!(session.map(|session| &*session.role_arn), role, "{request:?}");
            assert_eq!(request.region, region, "{request:?}");
        }
        assert!(world.log.count(operation) > 0, "{operation}");
    }
}
