use super::*;
use crate::delivery::sink::PutEntry;

#[tokio::test]
async fn what_is_left_out_brings_nothing() {
    let budget = Budget::new(1_000);
    let number = |n: u64| SequenceNumber::parse(&n.to_string()).expect("digits");
    let mut changes = vec![];
    for n in 0..5 {
        let (sequence_number, created_at_ms, memory) = (number(n), 0, budget.reserve(1).await);
        changes.push(match n {
            3 => {
                let entry = PutEntry::new("key", b"1234567");
                Submission::Deliver { sequence_number, created_at_ms, entry, memory }
            }
            _ => Submission::Exclude { sequence_number, created_at_ms, memory },
        });
    }
    assert_eq!(delivered(&changes), Amount { records: 1, bytes: 10 });
    assert_eq!(delivered(&changes[..3]), Amount::default());
}
