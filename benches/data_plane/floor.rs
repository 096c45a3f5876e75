//! (c) The floor: what nobody can leave out. Each byte that comes is looked at once, each byte that goes is copied once,
//! written in base64 and hashed for the signature.

use std::hint::black_box;

use aws_lc_rs::digest;
use base64_simd::STANDARD;
use ddb_kinesis_bridge::config::{Oversize, PartitionKeyMode};
use ddb_kinesis_bridge::record::envelope::{Encoder, EncoderOptions, Format};
use ddb_kinesis_bridge::record::key::KeySchema;
use ddb_kinesis_bridge::record::selection::Selection;
use ddb_kinesis_bridge::stream::arn::StreamArn;
use ddb_kinesis_bridge::stream::page::Page;
use sha2::{Digest, Sha256};

use crate::canned::{Pages, STREAM_ARN, whole};
use crate::meter::{Cost, measure_here};

/// The floor and its parts, each measured over all pages.
pub struct Floor {
    /// What the changes' records hold.
    pub payloads: Vec<Vec<u8>>,
    pub scan: Cost,
    pub copy: Cost,
    pub base64: Cost,
    /// SHA-256 as the SDK's signer computes it.
    pub sha256: Cost,
    /// SHA-256 by aws-lc.
    pub sha256_aws_lc: Cost,
}

impl Floor {
    pub fn cpu_micros(&self, changes: usize) -> f64 {
        [self.scan, self.copy, self.base64, self.sha256].iter().map(|cost| cost.micros(changes)).sum()
    }
}

pub fn measure(pages: &Pages, format: Format) -> Floor {
    let answers = answers(pages);
    let payloads = payloads(&answers, format);
    let size = payloads.iter().map(Vec::len).sum::<usize>();
    let (quotes, scan) = measure_here(|| {
        answers.iter().map(|page| page.iter().filter(|byte| **byte == b'"').count()).sum::<usize>()
    });
    assert!(quotes > 0);
    let mut copied = vec![1; size];
    let ((), copy) = measure_here(|| {
        let mut at = 0;
        for payload in &payloads {
            copied[at..at + payload.len()].copy_from_slice(payload);
            at += payload.len();
        }
    });
    let mut body = vec![1; size * 4 / 3 + 4 * payloads.len()];
    let (written, base64) = measure_here(|| {
        let write = |at: usize, payload: &Vec<u8>| {
            let room = &mut body[at..at + payload.len().div_ceil(3) * 4];
            at + STANDARD.encode(payload, base64_simd::Out::from_slice(room)).len()
        };
        payloads.iter().fold(0, write)
    });
    // A request's body is about this large.
    let requests: Vec<&[u8]> = body[..written].chunks(900_000).collect();
    let (hashes, sha256) =
        measure_here(|| requests.iter().map(|body| Sha256::digest(body)[0]).collect::<Vec<u8>>());
    let (same, sha256_aws_lc) = measure_here(|| {
        requests.iter().map(|body| digest::digest(&digest::SHA256, body).as_ref()[0]).collect::<Vec<u8>>()
    });
    assert_eq!(hashes, same);
    Floor { payloads, scan, copy, base64, sha256, sha256_aws_lc }
}

/// The payloads of all changes.
fn payloads(answers: &[Vec<u8>], format: Format) -> Vec<Vec<u8>> {
    let encoder = encoder(format);
    let encode = |page: &Vec<u8>| {
        let page = Page::parse(page).expect("a page");
        let mut draft = Vec::new();
        let encoded =
            page.records.iter().filter_map(|record| encoder.encode(record, &mut draft).expect("a record"));
        encoded.map(|encoded| encoded.entry.data().to_vec()).collect::<Vec<_>>()
    };
    answers.iter().flat_map(encode).collect()
}

/// What finding the parts of the changes costs, and writing their records.
pub fn parse_and_encode(pages: &Pages, format: Format) -> (Cost, Cost) {
    let encoder = encoder(format);
    let (mut parse, mut encode) = (Cost::default(), Cost::default());
    for answer in &answers(pages) {
        let (page, cost) = measure_here(|| Page::parse(answer).expect("a page"));
        parse += cost;
        let ((), cost) = measure_here(|| {
            let mut draft = Vec::new();
            for record in &page.records {
                drop(black_box(encoder.encode(record, &mut draft).expect("a record")));
            }
        });
        encode += cost;
    }
    (parse, encode)
}

/// Every page as a whole answer.
pub fn answers(pages: &Pages) -> Vec<Vec<u8>> {
    pages.all().map(|page| whole(page, "next")).collect()
}

fn encoder(format: Format) -> Encoder {
    Encoder::new(options(format))
}

pub fn options(format: Format) -> EncoderOptions {
    EncoderOptions {
        format,
        key_mode: PartitionKeyMode::PartitionKey,
        key_schema: KeySchema { partition_key: "id".to_owned(), sort_key: None },
        stream: StreamArn::parse(STREAM_ARN).expect("an ARN"),
        limit_bytes: 1 << 20,
        oversize: Oversize::Halt,
        selection: Selection::default(),
    }
}
