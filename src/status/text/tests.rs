use super::*;
use crate::lease::order::{Order, Rewind, Target};
use crate::lease::row::{FinishedRow, SessionRow, ShardRow, ShardState, StreamRow};
use crate::status::of_rows::testing::*;
use crate::status::{PipelineRows, Rows};
use crate::stream::SequenceNumber;

const NOW_MS: u64 = OPENED_MS + 3 * 3_600_000 + 61_000;

fn text(rows: Rows) -> String {
    let text = Status::of("leases", rows, NOW_MS).to_string();
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
    }
    text
}

fn gap(reason: &str) -> Gap {
    Gap { reason: reason.into(), from: Some("41".into()), to: None, noticed_at_ms: OPENED_MS }
}

#[test]
fn a_fleet_at_a_glance() {
    let carried = ShardRow {
        owner: Some("ip-10-0-0-1".into()),
        incarnation: Some("i".into()),
        checkpoint: SequenceNumber::parse("4421584500000000017450439091").ok(),
        last_change_at_ms: Some(NOW_MS - 2_000),
        ..row()
    };
    let shards = [(key("0a1b2c3d"), carried), (key("4e5f6071"), child_of("0a1b2c3d"))].into();
    let finished = [(key("f"), finished_row())].into();
    let rows = orders(PipelineRows { stream: Some(stream_row()), shards, finished, unreadable: vec![] });
    let sessions = vec![
        ("ip-10-0-0-1".to_owned(), session(), Heartbeat::Moving),
        ("w2".to_owned(), SessionRow { load: 0, ..session() }, Heartbeat::Still { still_for_ms: 4_000 }),
    ];
    let expected = "\
Lease table leases, read at 2023-11-15T01:14:21Z

WORKER                      HEARTBEAT         LEASES  HOST                VERSION   STARTED
ip-10-0-0-1                 moving                 2  ip-10-0-0-1         0.1.0     2023-11-14 22:13
w2                          STILL for 4s           0  ip-10-0-0-1         0.1.0     2023-11-14 22:13

Pipeline orders: orders (eu-west-1) → orders-cdc (eu-west-1)
  shards: 1 reading, 1 waiting, 1 finished, no gap; lag ≤ 3h 1m, trim ≥ 20h 58m
  SHARD                                  STATE    OWNER            CHECKPOINT         LAG ≤   TRIM ≥
  shardId-00000001700000000000-0a1b2c3d  reading  ip-10-0-0-1      …00017450439091       2s  23h 59m
  └ …rdId-00000001700000000000-4e5f6071  waiting  -                -                  3h 1m  20h 58m
";
    assert_eq!(text(Rows { sessions, ..rows }), expected);
}

#[test]
fn what_needs_an_operator_is_said_in_full() {
    let why = "record 4421584500000000017450439091 is larger than the 1,048,576 bytes that Kinesis takes; raise \
               MaxRecordSizeInKiB or set oversize = \"drop_images\"";
    let halted = ShardRow {
        state: ShardState::Halted,
        halted_because: Some(why.into()),
        gaps: vec![gap("retention passed")],
        ..row()
    };
    let finished = [(key("f"), FinishedRow { gaps: vec![gap("gone"); 25], ..finished_row() })].into();
    let order = Order { shard: None, to: Some(Target::TrimHorizon), mark: None, adopt: false };
    let rewind = Some(Rewind { order, ordered_at_ms: 1, until_ms: 2, is_reset: false });
    let stream = StreamRow { rewind, gaps: vec![gap("the stream was off")], ..stream_row() };
    let shards = [(key("a"), halted)].into();
    let unreadable = vec!["lease-table row x is not as written by this program".to_owned()];
    let text = text(orders(PipelineRows { stream: Some(stream), shards, finished, unreadable }));
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        why,
        "HALTED",
        "27 GAPS",
        "gap: retention passed; after 41, up to not known yet; noticed 2023-11-14T22:13:20Z",
        "gap: the stream was off",
        "and 5 more gaps",
        "a rewind broke off, and nothing is carried",
        "rewind --pipeline orders --to trim_horizon",
        "row x is not as written",
        "No worker runs",
    ] {
        assert!(words.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn nothing_known_yet_and_nothing_that_steers_a_terminal() {
    let mut rows = orders(PipelineRows::default());
    rows.sessions = vec![(
        "\u{1b}[2J".repeat(9),
        SessionRow { host: "h".repeat(300), ..session() },
        Heartbeat::NotWatched,
    )];
    rows.sessions[0].1.pipelines.push("users".into());
    let text = text(rows);
    assert!(text.contains("Pipeline orders: not in the lease table"), "{text}");
    assert!(text.contains("Also served from this lease table: users"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn deep_trees_and_wide_data_stay_in_their_columns() {
    let deep = (1..12).map(|n| (key(&format!("{n:02}")), child_of(&format!("{:02}", n - 1))));
    let mut shards: std::collections::BTreeMap<_, _> = deep.collect();
    let owner = ShardRow { owner: Some("w".repeat(90)), incarnation: Some("i".into()), ..row() };
    shards.insert(key("00"), ShardRow { last_change_at_ms: Some(0), ..owner });
    let text = text(orders(PipelineRows { stream: Some(stream_row()), shards, ..PipelineRows::default() }));
    assert!(text.contains("-11"), "{text}");
}

#[test]
fn spans_have_two_units() {
    for (seconds, expected) in
        [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_600, "1h 0m"), (86_399, "23h 59m"), (90_000, "1d 1h")]
    {
        assert_eq!(span(seconds * 1_000), expected);
    }
}

#[test]
fn what_does_not_fit_keeps_its_telling_part() {
    assert_eq!(fit("abcdef", 6, Cut::Left), "abcdef");
    assert_eq!(fit("abcdef", 5, Cut::Left), "…cdef");
    assert_eq!(fit("abcdef", 5, Cut::Middle), "ab…ef");
    assert_eq!(fit("äöü", 2, Cut::Right), "ä…");
}
