//! The target stream's open shards, by ListShards.
//!
//! Source: <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html>

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{Shard, ShardFilter, ShardFilterType};

use super::client::time_limits;
use super::error::{from_sdk, unusable};
use crate::delivery::sink::TargetShard;
use crate::error::{ApiError, ErrorKind};

const API: &str = "ListShards";
/// AWS answers with up to 1,000 shards: a listing of more pages than this does not end.
const MOST_PAGES: usize = 1_000;

/// Reads every page. Exactly one of name and ARN is given.
pub(super) async fn list(
    client: &Client,
    name: Option<String>,
    arn: Option<String>,
    limit: Duration,
) -> Result<Vec<TargetShard>, ApiError> {
    let open = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build();
    let open =
        open.map_err(|error| ApiError::new(API, ErrorKind::Invalid, "RequestNotBuilt", error.to_string()))?;
    let (mut shards, mut next_token) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let request = client.list_shards();
        // What a token stands for is not said again beside it.
        let request = match &next_token {
            Some(token) => request.next_token(token),
            None => {
                request.set_stream_name(name.clone()).set_stream_arn(arn.clone()).shard_filter(open.clone())
            }
        };
        let answer = request
            .customize()
            .config_override(aws_sdk_kinesis::config::Builder::new().timeout_config(time_limits(limit)))
            .send()
            .await
            .map_err(|error| from_sdk(API, &error))?;
        for shard in answer.shards().iter().filter(|shard| is_open(shard)) {
            shards.push(target_shard(shard)?);
        }
        next_token = answer.next_token;
        if next_token.is_none() {
            return Ok(shards);
        }
    }
    Err(unusable(API, format!("more than {MOST_PAGES} pages")))
}

/// Emulators do not heed the filter.
fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range().is_none_or(|range| range.ending_sequence_number().is_none())
}

fn target_shard(shard: &Shard) -> Result<TargetShard, ApiError> {
    let range = shard.hash_key_range().and_then(|range| {
        Some((range.starting_hash_key().parse().ok()?, range.ending_hash_key().parse().ok()?))
    });
    let (first_hash, last_hash) =
        range.ok_or_else(|| unusable(API, format!("no HashKeyRange of {}", shard.shard_id())))?;
    Ok(TargetShard { id: Arc::from(shard.shard_id()), first_hash, last_hash })
}
