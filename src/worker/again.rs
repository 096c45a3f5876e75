//! Again: a call that failed quickly is sent again at once, for a moment. A look at the leases is several reads, each of
//! which must succeed: where half of all calls are throttled, a look made anew at each failure would hardly ever end.

use std::time::Duration;

use super::pipeline::Shared;
use crate::error::ApiError;
use crate::machine::MonoTime;
use crate::retry::Retry;

/// For how long.
const WITHIN: Duration = Duration::from_secs(1);

/// The tries of one call.
pub struct Again {
    until: MonoTime,
    retry: Retry,
}

impl Again {
    /// From the first try on.
    pub fn new(shared: &Shared) -> Self {
        let retry = Retry::new(Duration::from_millis(50), Duration::from_millis(200));
        Again { until: shared.machine.now() + WITHIN, retry }
    }

    /// Waits before the next try; gives the error back when there is to be none.
    pub async fn after(&mut self, shared: &Shared, error: ApiError) -> Result<(), ApiError> {
        let pause = self.retry.next(shared.machine.random());
        if !error.kind.is_passing() || shared.machine.now() + pause > self.until {
            return Err(error);
        }
        shared.metrics.api_error(&error);
        shared.machine.sleep(pause).await;
        Ok(())
    }
}
