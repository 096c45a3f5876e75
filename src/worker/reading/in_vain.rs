//! What the pipeline asks for and a stream does not have. The start refuses that of the newest stream; one that is enabled
//! later may have another view type, and then it is said, once for each shard read.

use super::Reading;
use crate::stream::page::StreamRecord;

impl Reading {
    /// Looks at the first change that comes: a stream's view type never changes.
    pub(super) fn tell_what_is_asked_in_vain(&mut self, records: &[StreamRecord<'_>]) {
        let Some(record) = records.first().filter(|_| !self.knows_view_type) else { return };
        self.knows_view_type = true;
        for contradiction in self.encoder.asked_in_vain(record) {
            tracing::warn!(
                pipeline = &*self.pipeline.name,
                shard = %self.shard,
                stream = self.stream.arn,
                "this stream does not have what the configuration asks for; what there is is carried: {contradiction}"
            );
        }
    }
}
